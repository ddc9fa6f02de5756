# 界面文字。每个键在两种语言中都有。
version = 第 { $number } 版
sun-time = { $time }
below-badge = 地下模式
below-depth = 视点深度 { $depth } m
below-hint = U 返回地上
layers = 图层
layers-hint = L 开关图层
objects = { $count } 个对象
points = { $count } 个点
pipe-legend = 管线图例
legend-note = 颜色依 CJJ 61
structures = 管廊 · 隧道
alarms = 告警
alarms-more = 另有 { $count } 条
alarm-high = 高于 { $limit }
alarm-low = 低于 { $limit }
alarm-lost = 数据源中断
alarm-returned = 已恢复,未确认
alarm-shelved = 已搁置
alarm-acknowledged = 已确认
since = 自 { $time }
sensors-summary = 感知终端 { $total } · 正常 { $good } · 异常 { $bad }
quality-good = 正常
quality-late = 迟
quality-stale = 断
quality-range = 超限
quality-missing = 无
north = 北
height = 高程
attribution = Groundline 城市信息模型
loading = 正在读取 { $count } 个瓦片
damaged = { $count } 个瓦片无法读取
attributes = 属性
attr-name = 名称
attr-class = 类别
attr-id = 标识码
attr-layer = 图层
attr-stage = 阶段
attr-domain = 空间
attr-record = 源记录
attr-none = 此对象没有更多属性
attr-reading = 正在读取属性…
attr-unknown = 数据库中没有此对象
attr-error = 属性读取失败:{ $reason }
origin-read = 读
origin-converted = 换
origin-measured = 量
origin-defaulted = 缺省
origin-read-long = 取自字段 { $field }
origin-converted-long = 由字段 { $field } 换算:{ $rule }
origin-measured-long = 由几何量得:{ $rule }
origin-defaulted-long = 无数据,采用缺省值:{ $rule }
provenance-legend = 来源:读 = 原值 · 换 = 换算 · 量 = 量算 · 缺省 = 假定值
key-height_m = 高度 (m)
key-storeys = 层数
key-depth_start_m = 起点埋深 (m)
key-depth_end_m = 终点埋深 (m)
key-depth_m = 埋深 (m)
key-diameter_mm = 管径 (mm)
key-width_mm = 宽 (mm)
key-height_mm = 高 (mm)
key-material = 材质
key-owner = 权属单位
key-pipe_kind = 管线类别
key-unit = 单位
key-property = 监测项
help = 帮助
help-pan = 左键拖动 = 平移
help-orbit = 右键或 Ctrl+左键拖动 = 环绕、俯仰
help-zoom = 滚轮 = 缩放到光标处
help-fly = 双击 = 飞到该处
help-keys = W A S D / 方向键 = 移动;Q E = 降、升
help-home = Home = 全城;N = 正北;F = 飞到所选
help-below = U = 地上/地下;L = 图层;Esc = 取消选择
help-detail = 1 … 7 = 模型精细度,CIM1 至 CIM7
help-help = ? = 开关此帮助
cim-1 = CIM1 地表模型
cim-2 = CIM2 框架模型
cim-3 = CIM3 标准模型
cim-4 = CIM4 精细模型
cim-5 = CIM5 功能级模型
cim-6 = CIM6 构件级模型
cim-7 = CIM7 零件级模型(全部)
close = 关闭
cuts = 剖切
cut-section = 剖面
cut-level = 水平切
cut-box = 剖切盒
cut-trench = 开挖
cut-none = 在画面中心处剖切
cut-many = 剖切已达上限
cut-remove = 移除此剖切
cut-move = 平移
cut-heading = 视向
cut-height = 高程
cut-east = 东
cut-north = 北
cut-half = ± 半长
cut-width = 宽
cut-depth = 深
help-cuts = X 剖切：剖面、水平切、剖切盒、开挖
style-realistic = 写实
style-paper = 白模
style-dark = 暗色
style-xray = 透视
colours = 着色
colours-none = 不按属性着色
colours-reading = 正在读取属性…
legend-missing = 无数据
legend-other = 其他（{ $count } 种值）
legend-assumed = 其中 { $count } 个为缺省推定值
help-style = V = 切换风格：写实、白模、暗色、透视；K = 按属性着色
key-class = 类别
key-stage = 阶段
key-year_built = 建成年份
