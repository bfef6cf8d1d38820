//! Which devices there are, and what they can do.

use super::refusal::Refusal;
use crate::{Error, Result};
use ocl::core::{ClDeviceIdPtr, DeviceId, DeviceInfo, DeviceType, PlatformId, PlatformInfo, ffi};
use std::fmt;
use std::ptr;
use std::sync::{Mutex, PoisonError};

/// What OpenCL says of a device.
#[derive(Clone, Debug)]
pub struct Properties {
    /// Its number among the devices of all platforms, in the order of the loader.
    pub index: usize,
    /// Name of the platform, which is one driver's.
    pub platform: String,
    /// Name of the device.
    pub name: String,
    /// Version of OpenCL, e.g. `OpenCL 1.2 ...`.
    pub version: String,
    /// Version of the driver.
    pub driver: String,
    /// Whether it is a processor rather than an accelerator.
    pub is_cpu: bool,
    /// Compute units.
    pub units: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of the largest buffer.
    pub largest_buffer: u64,
    /// Whether its memory is the host's.
    pub shares_memory: bool,
    /// The multiple of bytes that memory of the host begins at which it is to use.
    pub alignment: usize,
    /// Bytes of local memory that a work-group has.
    pub local_memory: u64,
    /// Work-items of the largest work-group, and along each axis.
    pub work_group: usize,
    /// See above.
    pub work_items: Vec<usize>,
    /// Whether it can be used at all.
    pub is_available: bool,
    /// Whether its driver compiles kernels.
    pub has_compiler: bool,
    /// Whether it computes in `f64`.
    pub has_doubles: bool,
    pub(super) id: DeviceId,
    pub(super) platform_id: PlatformId,
}

impl Properties {
    /// The device and its driver, in as many words as tell one from another that kernels are
    /// compiled for otherwise, or are not as fast on.
    pub(super) fn identity(&self) -> String {
        let words = [&self.platform, &self.name, &self.version, &self.driver];
        words.map(|word| word.trim()).join("\n")
    }
}

impl fmt::Display for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "opencl:{} ({}, {})", self.index, self.name.trim(), self.platform.trim())
    }
}

/// All devices of all platforms, each at its number; none if there is no driver. One that its
/// driver refuses to describe is an error in its place, and hides no other.
///
/// # Errors
/// If the loader refuses to list the drivers.
pub fn discover() -> Result<Vec<Result<Properties>>> {
    // Drivers wake up here, and not all of them bear to be woken by two threads.
    static ASKING: Mutex<()> = Mutex::new(());
    let _asking = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found = Vec::new();
    for platform in platforms()? {
        let name = text(ocl::core::get_platform_info(platform, PlatformInfo::Name));
        for id in devices(platform) {
            found.push(describe(found.len(), platform, &name, id));
        }
    }
    Ok(found)
}

/// The platforms. ocl-core would ask again and again for ten seconds where there is none.
#[allow(unsafe_code)]
fn platforms() -> Result<Vec<PlatformId>> {
    const NO_PLATFORM: i32 = -1001;
    let refused = |status: i32| {
        Refusal::check(status)
            .map_err(|refusal| Error::device("opencl", "list the platforms", refusal.to_string()))
    };
    let mut count = 0;
    // SAFETY: with no room for platforms, only their count is written.
    let status = unsafe { ffi::clGetPlatformIDs(0, ptr::null_mut(), &mut count) };
    if status == NO_PLATFORM || (status == 0 && count == 0) {
        return Ok(Vec::new());
    }
    refused(status)?;
    let mut platforms = vec![ptr::null_mut(); count as usize];
    // SAFETY: there is room for as many platforms as the call is told.
    refused(unsafe { ffi::clGetPlatformIDs(count, platforms.as_mut_ptr(), ptr::null_mut()) })?;
    // SAFETY: they are platforms, which the loader keeps for as long as the process lives.
    Ok(platforms.into_iter().map(|raw| unsafe { PlatformId::from_raw(raw) }).collect())
}

/// The devices of a platform. A driver without one says so by an error, and one with another error
/// has none for us.
#[allow(unsafe_code)]
fn devices(platform: PlatformId) -> Vec<DeviceId> {
    let (platform, all) = (platform.as_ptr(), DeviceType::ALL.bits());
    let mut count = 0;
    // SAFETY: with no room for devices, only their count is written.
    let status = unsafe { ffi::clGetDeviceIDs(platform, all, 0, ptr::null_mut(), &mut count) };
    if status != 0 || count == 0 {
        return Vec::new();
    }
    let mut devices = vec![ptr::null_mut(); count as usize];
    let room = devices.as_mut_ptr();
    // SAFETY: there is room for as many devices as the call is told.
    let status = unsafe { ffi::clGetDeviceIDs(platform, all, count, room, &mut count) };
    if status != 0 {
        return Vec::new();
    }
    // Fewer than before, if one went meanwhile.
    devices.truncate(count as usize);
    devices.retain(|raw| !raw.is_null());
    // SAFETY: they are devices of a platform, which are there for as long as the process lives.
    devices.into_iter().map(|raw| unsafe { DeviceId::from_raw(raw) }).collect()
}

/// A name that a driver gives, or why it does not.
fn text(answer: ocl::core::Result<impl fmt::Display>) -> String {
    answer.map_or_else(|error| error.to_string(), |text| text.to_string().trim().to_owned())
}

fn describe(
    index: usize,
    platform_id: PlatformId,
    platform: &str,
    id: DeviceId,
) -> Result<Properties> {
    let bytes = |info: DeviceInfo| {
        answer(id, info).map_err(|refusal| {
            let action = format!("ask for {info:?}");
            Error::device(format_args!("opencl:{index}"), action, refusal.to_string())
        })
    };
    let number = |info| Ok(number(&bytes(info)?));
    let name = |info| {
        let bytes = bytes(info)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.trim_end_matches('\0').trim().to_owned())
    };
    let sizes = bytes(DeviceInfo::MaxWorkItemSizes)?;
    Ok(Properties {
        index,
        platform: platform.to_owned(),
        name: name(DeviceInfo::Name)?,
        version: name(DeviceInfo::Version)?,
        driver: name(DeviceInfo::DriverVersion)?,
        is_cpu: number(DeviceInfo::Type)? & DeviceType::CPU.bits() != 0,
        units: number(DeviceInfo::MaxComputeUnits)? as usize,
        memory: number(DeviceInfo::GlobalMemSize)?,
        largest_buffer: number(DeviceInfo::MaxMemAllocSize)?,
        shares_memory: number(DeviceInfo::HostUnifiedMemory)? != 0,
        alignment: number(DeviceInfo::MemBaseAddrAlign)? as usize / 8,
        local_memory: number(DeviceInfo::LocalMemSize)?,
        work_group: number(DeviceInfo::MaxWorkGroupSize)? as usize,
        work_items: sizes
            .chunks(size_of::<usize>())
            .map(|size| self::number(size) as usize)
            .collect(),
        is_available: number(DeviceInfo::Available)? != 0,
        has_compiler: number(DeviceInfo::CompilerAvailable)? != 0,
        has_doubles: name(DeviceInfo::Extensions)?.contains("cl_khr_fp64"),
        id,
        platform_id,
    })
}

/// What a device answers to a question, whatever number its driver gives instead.
#[allow(unsafe_code)]
pub(super) fn answer(id: DeviceId, info: DeviceInfo) -> Result<Vec<u8>, Refusal> {
    let (id, info, mut len) = (id.as_ptr(), info as u32, 0);
    // SAFETY: with no room for an answer, only its length is written.
    Refusal::check(unsafe { ffi::clGetDeviceInfo(id, info, 0, ptr::null_mut(), &mut len) })?;
    let mut bytes = vec![0u8; len];
    let room = bytes.as_mut_ptr().cast();
    // SAFETY: there is room for as many bytes as the call is told.
    Refusal::check(unsafe { ffi::clGetDeviceInfo(id, info, len, room, ptr::null_mut()) })?;
    Ok(bytes)
}

/// An integer of up to eight bytes, as the host has it.
fn number(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    let len = bytes.len().min(8);
    all[..len].copy_from_slice(&bytes[..len]);
    u64::from_le_bytes(all)
}
