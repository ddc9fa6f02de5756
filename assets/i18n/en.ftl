# Texts of the viewer. Every key stands in both languages.
version = version { $number }
sun-time = { $time }
below-badge = Below ground
below-depth = eye { $depth } m below ground
below-hint = U back above
layers = Layers
layers-hint = L layers
objects = { $count } objects
points = { $count } points
pipe-legend = Pipes
legend-note = colours after CJJ 61
structures = Galleries · tunnels
alarms = Alarms
alarms-more = { $count } more
alarm-high = above { $limit }
alarm-low = below { $limit }
alarm-lost = source lost
alarm-returned = returned, not acknowledged
alarm-shelved = shelved
alarm-acknowledged = acknowledged
since = since { $time }
sensors-summary = { $total } sensors · { $good } normal · { $bad } abnormal
quality-good = normal
quality-late = late
quality-stale = stale
quality-range = out of range
quality-missing = none
north = N
height = height
attribution = Groundline city information model
loading = reading { $count } tiles
damaged = { $count } tiles cannot be read
attributes = Attributes
attr-name = Name
attr-class = Class
attr-id = Id
attr-layer = Layer
attr-stage = Stage
attr-domain = Domain
attr-record = Source record
attr-none = This object has no further attributes
attr-reading = Reading the attributes …
attr-unknown = The store does not know this object
attr-error = Attributes cannot be read: { $reason }
origin-read = read
origin-converted = conv
origin-measured = meas
origin-defaulted = default
origin-read-long = from field { $field }
origin-converted-long = from field { $field } by rule: { $rule }
origin-measured-long = from geometry by rule: { $rule }
origin-defaulted-long = not known, assumed: { $rule }
provenance-legend = Provenance: read = as delivered · conv = converted · meas = measured · default = assumed
key-height_m = Height (m)
key-storeys = Storeys
key-depth_start_m = Depth at start (m)
key-depth_end_m = Depth at end (m)
key-depth_m = Depth (m)
key-diameter_mm = Diameter (mm)
key-width_mm = Width (mm)
key-height_mm = Height (mm)
key-material = Material
key-owner = Owner
key-pipe_kind = Pipe class
key-unit = Unit
key-property = Property
help = Help
help-pan = Left drag = pan
help-orbit = Right drag or Ctrl + left drag = orbit and tilt
help-zoom = Wheel = zoom to the cursor
help-fly = Double click = fly there
help-keys = W A S D / arrows = move; Q E = down, up
help-home = Home = whole city; N = north up; F = go to the selected object
help-below = U = above/below ground; L = layers; Esc = select nothing
help-detail = 1 … 7 = level of detail, CIM1 to CIM7
help-help = ? = this help
cim-1 = CIM1 surface
cim-2 = CIM2 blocks and main lines
cim-3 = CIM3 outer form
cim-4 = CIM4 fine outside
cim-5 = CIM5 storeys and rooms
cim-6 = CIM6 components
cim-7 = CIM7 everything
close = Close
cuts = Cuts
cut-section = Section
cut-level = Level
cut-box = Box
cut-trench = Trench
cut-none = A cut opens where the middle of the picture is
cut-many = No more cuts fit
cut-remove = Remove this cut
cut-move = Move
cut-heading = Looking to
cut-height = Height
cut-east = East
cut-north = North
cut-half = ± half
cut-width = Width
cut-depth = Depth
help-cuts = X cuts: section, level, box, trench
style-realistic = Realistic
style-paper = White model
style-dark = Dark
style-xray = X-ray
colours = Colours
colours-none = no attribute
colours-reading = Reading the attribute …
legend-missing = no value
legend-other = other ({ $count } values)
legend-assumed = { $count } values assumed, not delivered
help-style = V = next style: realistic, white model, dark, X-ray; K = colour by attribute
key-class = Class
key-stage = Stage
key-year_built = Year built
