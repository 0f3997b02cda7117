//! The network, the machine and the processes of measurements that run whole programs.

pub mod arguments;
pub mod buffers;
pub mod kernel_path;
pub mod machine;
pub mod network;
pub mod supervisor;
pub mod threads;
pub mod turn;
pub mod warm;
