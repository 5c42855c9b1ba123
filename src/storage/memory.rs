/// Storage in memory, with the same preconditions and errors.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {}
