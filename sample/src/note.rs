//! 说明.txt: what the folder holds and what was planted in it.

use crate::{Made, city::City};

/// The text, UTF-8 with DOS line ends.
pub(crate) fn note(city: &City<'_>, made: &Made) -> Vec<u8> {
    let mut lines = vec![
        format!("{}示范数据（虚构）", city.recipe.name),
        String::new(),
        "由 groundline-sample 按配方 assets/sample/recipe.toml 生成，固定随机种子，逐字节可重复。".into(),
        "所有地名、单位、坐标与读数均为虚构，与任何真实地点、单位无关。".into(),
        String::new(),
        "坐标系：CGCS2000 / 3度带高斯-克吕格 中央子午线 120°E（EPSG:4549）；高程：1985 国家高程基准（EPSG:5737）。".into(),
        String::new(),
        format!("基础测绘/   建筑 {} 栋、道路 {} 段、树木 {} 株、路灯 {} 盏、水系、绿地；DEM_5m.tif；DOM_2026.jpg。", made.buildings, made.streets, made.trees, made.lamps),
        "            属性表为 GBK 编码；.cpg 写法各异（ANSI 936、GBK、CP936）或缺失（由 dbf 头的 LDID 0x4D 说明），与实际交付一致。".into(),
        format!("地下管线/   管点、管线成果表共 {} 段。X 为北坐标、Y 为东坐标。埋深：雨水、污水为管内底，其余为管顶。", made.pipes),
        "            管径单位 mm；断面“宽X高”；“*”表示未探明。流向 0 = 由起点流向终点。通信为 XLSX，其余为 GBK 的 CSV。".into(),
        "地下空间/   综合管廊（三维轴线为断面中心，埋深为顶板覆土）、地铁区间（三维轴线为隧道中心）、地铁站（顶板、底板高程）。".into(),
        "BIM/        海湾中心.ifc（IFC4，IfcMapConversion 定位）；其基底不在 建筑.shp 中。".into(),
        format!("点云/       街区扫描.laz（LAZ 1.4，点格式 7，{} 点，有颜色与分类）。", made.points),
        format!("物联网/     传感器.csv（{} 个）与 读数.csv（暴雨一小时：管网水位上涨、一处检查井冒溢、阀井燃气超 20%LEL、一个传感器失联、一个超量程）。", made.sensors),
        String::new(),
        "为分析演示而埋设的隐患：".into(),
    ];
    lines.extend(city.findings.iter().enumerate().map(|(k, text)| format!("{}. {text}", k + 1)));
    if city.recipe.flaws {
        lines.push(String::new());
        lines.push("缺陷：少数管段管径为“*”（未探明），与普查成果的常见情况一致。".into());
    }
    let mut text = lines.join("\r\n");
    text.push_str("\r\n");
    text.into_bytes()
}
