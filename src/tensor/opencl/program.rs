//! Programs: sources that are compiled for a device when a kernel of theirs is first wanted.

use super::held::Held;
use super::refusal::Refusal;
use super::{OpenCl, cache, discovery};
use crate::{Error, Result};
use ocl::core::{DeviceInfo, Kernel, ProgramBuildInfo, ProgramBuildInfoResult, ProgramBuildStatus};
use std::collections::HashMap;
use std::ffi::CString;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A file of kernels.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its name, e.g. `gemm.cl`.
    pub name: &'static str,
    /// What it held when this program was built.
    pub text: &'static str,
}

/// Files that are compiled as one, in this order.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// That of its last file.
    pub name: &'static str,
    /// The files.
    pub files: &'static [File],
}

/// The folder that kernels are read from instead, for those who work on them.
const FOLDER: &str = "ZOO_OPENCL_KERNELS";

/// What is compiled, by program and options.
#[derive(Default)]
pub(super) struct Programs(Mutex<HashMap<(&'static str, String), Arc<Compiled>>>);

struct Compiled {
    program: Held<ocl::core::Program>,
    kernels: Mutex<HashMap<&'static str, Arc<Mutex<Held<Kernel>>>>>,
}

impl OpenCl {
    /// A kernel of a program; the lock is for as long as its arguments are set and it is
    /// enqueued, since a kernel has but one set of arguments.
    pub(super) fn kernel(
        &self,
        program: Program,
        options: String,
        name: &'static str,
    ) -> Result<Arc<Mutex<Held<Kernel>>>> {
        // What failed to be compiled has left no entry.
        let mut programs = self.programs.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (program.name, options);
        let compiled = match programs.get(&key) {
            Some(compiled) => compiled.clone(),
            None => {
                let kernels = Mutex::default();
                let compiled =
                    Arc::new(Compiled { program: self.compile(program, &key.1)?, kernels });
                programs.insert(key, compiled.clone());
                compiled
            }
        };
        drop(programs);
        let mut kernels = compiled.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = kernels.get(name) {
            return Ok(kernel.clone());
        }
        let kernel = ocl::core::create_kernel(&compiled.program, name).map_err(|error| {
            let action = format!("find the kernel {name} in {}", program.name);
            self.refused(action, &error)
        })?;
        let kernel = Arc::new(Mutex::new(Held::from(kernel)));
        kernels.insert(name, kernel.clone());
        Ok(kernel)
    }

    /// The program, compiled: taken from the disk, or anew.
    fn compile(&self, program: Program, options: &str) -> Result<Held<ocl::core::Program>> {
        let action = || format!("build {}", program.name);
        let source = program.source()?;
        let options = format!("-cl-std=CL1.2 {options}");
        let key = self.cache_key(&source, &options);
        if let Some(program) =
            cache::load(&key).and_then(|binary| self.of_binary(&binary, &options))
        {
            return Ok(program);
        }
        let text = CString::new(source).map_err(|_| {
            Error::device(&self.properties, action(), "the source holds a byte of zero")
        })?;
        let built = ocl::core::create_program_with_source(&*self.context, &[text])
            .map(Held::from)
            .map_err(|error| self.refused(action(), &error))?;
        if let Err(error) = self.build(&built, &options) {
            let log = ocl::core::get_program_build_info(
                &built,
                self.properties.id,
                ProgramBuildInfo::BuildLog,
            );
            let log =
                log.map_or_else(|error| Refusal::from(&error).to_string(), |log| log.to_string());
            let problem = match log.trim() {
                "" => Refusal::from(&error).to_string(),
                log => format!("the compiler says\n{log}"),
            };
            return Err(Error::device(&self.properties, action(), problem));
        }
        if let Ok(ocl::core::ProgramInfoResult::Binaries(binaries)) =
            ocl::core::get_program_info(&built, ocl::core::ProgramInfo::Binaries)
        {
            binaries.first().into_iter().for_each(|binary| cache::store(&key, binary));
        }
        Ok(built)
    }

    fn build(&self, program: &ocl::core::Program, options: &str) -> ocl::core::Result<()> {
        let options = CString::new(options)?;
        ocl::core::build_program(program, Some(&[self.properties.id]), &options, None, None)?;
        // A failure without a log passes for success there.
        let status = ProgramBuildInfo::BuildStatus;
        match ocl::core::get_program_build_info(program, self.properties.id, status)? {
            ProgramBuildInfoResult::BuildStatus(ProgramBuildStatus::Success) => Ok(()),
            other => Err(format!("the compiler gives no reason ({other})").into()),
        }
    }

    /// The program of a binary that an earlier run kept, if the driver still takes it.
    fn of_binary(&self, binary: &[u8], options: &str) -> Option<Held<ocl::core::Program>> {
        let id = self.properties.id;
        let program: Held<_> =
            ocl::core::create_program_with_binary(&*self.context, &[id], &[binary]).ok()?.into();
        self.build(&program, options).ok()?;
        Some(program)
    }

    /// All that a binary depends on.
    fn cache_key(&self, source: &str, options: &str) -> String {
        let p = &self.properties;
        let extensions = discovery::answer(p.id, DeviceInfo::Extensions);
        let extensions = extensions.unwrap_or_default();
        let extensions = String::from_utf8_lossy(&extensions);
        format!("{}\n{}\n{options}\n{source}", p.identity(), extensions.trim())
    }
}

impl Program {
    /// The text of all files, each told by its name and lines to the compiler.
    fn source(&self) -> Result<String> {
        let folder = std::env::var_os(FOLDER);
        let mut source = String::new();
        for file in self.files {
            source += &format!("#line 1 \"{}\"\n", file.name);
            match &folder {
                None => source += file.text,
                Some(folder) => {
                    let path = Path::new(folder).join(file.name);
                    source += &std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
                }
            }
            source += "\n";
        }
        Ok(source)
    }
}
