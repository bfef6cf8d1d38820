pub fn page(_: &[crate::train::Recorded]) -> crate::Result<String> { todo!() }
pub fn write(_: &std::path::Path) -> crate::Result<()> { todo!() }
