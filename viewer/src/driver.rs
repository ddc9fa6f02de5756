//! Whether there is a graphics driver, and what to ask of it.

use bevy::render::settings::{Backends, MemoryHints, WgpuFeatures, WgpuSettings};

use crate::ViewError;

/// What is asked of the driver: Vulkan first, OpenGL where there is none (`WGPU_BACKEND` decides otherwise).
pub fn settings() -> WgpuSettings {
    // Asking for OpenGL too would make its library look for a display, and complain where there is none.
    let on_linux = if has_vulkan_driver() { Backends::VULKAN } else { Backends::GL };
    let usual = if cfg!(target_os = "linux") { on_linux } else { Backends::VULKAN | Backends::METAL | Backends::DX12 };
    let backends = Backends::from_env().unwrap_or(usual);
    // Tiles come and go all the time: in large blocks of memory the little that stays would hold on to each of them.
    let memory_hints = MemoryHints::MemoryUsage;
    WgpuSettings { backends: Some(backends), features: WgpuFeatures::empty(), memory_hints, ..WgpuSettings::default() }
}

/// Finds out whether any driver answers, so that a person reads what to install instead of a panic.
pub fn check() -> Result<(), ViewError> {
    // Without a loader or a driver description the renderer ends the process; look for both first.
    if cfg!(target_os = "linux") && !has_vulkan_driver() && !has_opengl() {
        return Err(ViewError::NoDriver);
    }
    Ok(())
}

/// Whether a Vulkan loader finds a description of a driver (the places of the Vulkan loader's interface document).
fn has_vulkan_driver() -> bool {
    if std::env::var_os("VK_ICD_FILENAMES").is_some() || std::env::var_os("VK_DRIVER_FILES").is_some() {
        return true;
    }
    let mut folders = vec![
        "/etc/vulkan/icd.d".into(),
        "/usr/share/vulkan/icd.d".into(),
        "/usr/local/share/vulkan/icd.d".into(),
        "/usr/local/etc/vulkan/icd.d".into(),
        "/run/opengl-driver/share/vulkan/icd.d".into(),
    ];
    if let Some(home) = std::env::var_os("HOME") {
        folders.push(std::path::PathBuf::from(home).join(".local/share/vulkan/icd.d"));
    }
    for variable in ["XDG_DATA_DIRS", "XDG_CONFIG_DIRS"] {
        if let Some(list) = std::env::var_os(variable) {
            folders.extend(std::env::split_paths(&list).map(|folder| folder.join("vulkan/icd.d")));
        }
    }
    folders.iter().any(|folder: &std::path::PathBuf| {
        std::fs::read_dir(folder).is_ok_and(|mut files| {
            files.any(|file| file.is_ok_and(|file| file.path().extension().is_some_and(|ext| ext == "json")))
        })
    })
}

/// Whether a Vulkan layer of this name is installed where the loader looks for all programs.
pub fn has_vulkan_layer(name: &str) -> bool {
    let mut folders: Vec<std::path::PathBuf> =
        ["/etc", "/usr/share", "/usr/local/share"].map(|root| format!("{root}/vulkan/explicit_layer.d").into()).into();
    folders.extend(std::env::var_os("VK_LAYER_PATH").iter().flat_map(std::env::split_paths));
    let describes = |file: std::path::PathBuf| std::fs::read_to_string(file).is_ok_and(|text| text.contains(name));
    folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .any(|file| describes(file.path()))
}

fn has_opengl() -> bool {
    ["/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/run/opengl-driver/lib"]
        .iter()
        .any(|folder| std::path::Path::new(folder).join("libEGL.so.1").exists())
}
