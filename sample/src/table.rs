//! Pipe tables as survey offices deliver them (管点表、管线表): X is north, depths in metres, sizes in millimetres.

use encoding_rs::GBK;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook};

use crate::{
    SampleError,
    network::{Network, Service},
    recipe::Recipe,
};

/// Rows of text under a header.
pub(crate) struct Table {
    /// Column titles.
    pub header: Vec<&'static str>,
    /// Cells, as many as there are titles.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Comma-separated text in GBK with DOS line ends, as Excel saves it on a Chinese machine.
    pub fn csv_gbk(&self) -> Vec<u8> {
        let mut text = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = &str>| {
            for (k, cell) in cells.enumerate() {
                if k > 0 {
                    text.push(',');
                }
                if cell.contains([',', '"', '\n']) {
                    text.push('"');
                    text.push_str(&cell.replace('"', "\"\""));
                    text.push('"');
                } else {
                    text.push_str(cell);
                }
            }
            text.push_str("\r\n");
        };
        line(&mut self.header.iter().copied());
        for row in &self.rows {
            line(&mut row.iter().map(String::as_str));
        }
        GBK.encode(&text).0.into_owned()
    }
}

/// The two tables of a network.
pub(crate) fn tables(network: &Network, recipe: &Recipe) -> (Table, Table) {
    (points(network, recipe), lines(network, recipe))
}

/// Both tables as one workbook with a sheet each.
pub(crate) fn workbook(points: &Table, lines: &Table) -> Result<Vec<u8>, SampleError> {
    let failed = |e: rust_xlsxwriter::XlsxError| SampleError::Encode { what: "pipe workbook", reason: e.to_string() };
    let mut book = Workbook::new();
    let created = ExcelDateTime::from_ymd(2026, 3, 31).map_err(failed)?;
    book.set_properties(&DocProperties::new().set_author("海湾区测绘院").set_creation_datetime(&created));
    for (name, table) in [("管点", points), ("管线", lines)] {
        let sheet = book.add_worksheet();
        sheet.set_name(name).map_err(failed)?;
        for (c, title) in table.header.iter().enumerate() {
            sheet.write_string(0, c as u16, *title).map_err(failed)?;
        }
        for (r, row) in table.rows.iter().enumerate() {
            for (c, cell) in row.iter().enumerate() {
                let (r, c) = (r as u32 + 1, c as u16);
                match cell.parse::<f64>() {
                    Ok(v) => sheet.write_number(r, c, v).map_err(failed)?,
                    Err(_) => sheet.write_string(r, c, cell).map_err(failed)?,
                };
            }
        }
    }
    book.save_to_buffer().map_err(failed)
}

fn owner(service: Service, recipe: &Recipe) -> &str {
    let owners = &recipe.names.owners;
    match service {
        Service::Water => &owners.water,
        Service::Storm | Service::Sewage => &owners.drain,
        Service::Gas => &owners.gas,
        Service::Power => &owners.power,
        Service::Telecom => &owners.telecom,
        Service::Oil => &owners.oil,
    }
}

fn points(network: &Network, recipe: &Recipe) -> Table {
    let header = vec!["物探点号", "X", "Y", "地面高程", "特征", "附属物", "井底深", "权属单位"];
    let shift = recipe.shift();
    let rows = network.nodes.iter().enumerate().map(|(k, n)| {
        vec![
            network.id(k),
            format!("{:.3}", n.at.y + shift.y),
            format!("{:.3}", n.at.x + shift.x),
            format!("{:.3}", n.ground_m),
            n.feature.to_owned(),
            n.device.to_owned(),
            n.well_m.map(|d| format!("{d:.2}")).unwrap_or_default(),
            owner(network.service, recipe).to_owned(),
        ]
    });
    Table { rows: rows.collect(), header }
}

fn lines(network: &Network, recipe: &Recipe) -> Table {
    let extra = match network.service {
        Service::Water | Service::Gas | Service::Oil => "压力",
        Service::Power => "电压",
        Service::Telecom => "总孔数",
        Service::Storm | Service::Sewage => "流向",
    };
    let header = vec![
        "起点点号",
        "终点点号",
        "起点埋深",
        "终点埋深",
        "管径或断面",
        "材质",
        "埋设方式",
        extra,
        "权属单位",
        "建设年代",
        "道路名称",
    ];
    let rows = network.pipes.iter().map(|p| {
        let special = match network.service {
            Service::Water => "0.35MPa".to_owned(),
            Service::Gas => if p.size_mm[0] < 100 { "低压" } else { "中压B" }.to_owned(),
            Service::Oil => "4.0MPa".to_owned(),
            Service::Power => if p.is_round { "0.4kV" } else { "10kV" }.to_owned(),
            Service::Telecom => (p.size_mm[0] / 100 * (p.size_mm[1] / 100)).to_string(),
            // the survey's convention: 0 = from start to end
            Service::Storm | Service::Sewage => "0".to_owned(),
        };
        vec![
            network.id(p.ends[0]),
            network.id(p.ends[1]),
            format!("{:.2}", p.depths_m[0]),
            format!("{:.2}", p.depths_m[1]),
            p.size(),
            p.material.to_owned(),
            p.laying.to_owned(),
            special,
            owner(network.service, recipe).to_owned(),
            p.year.to_string(),
            p.street.clone(),
        ]
    });
    Table { rows: rows.collect(), header }
}
