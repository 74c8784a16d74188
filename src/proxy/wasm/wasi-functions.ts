import { wasiErrors } from "./abi.ts";
import { MemoryFault, type GuestMemory } from "./guest-memory.ts";
import { maxTextBytes } from "./limits.ts";
import type { MachineState } from "./machine-state.ts";

export class ModuleExit extends Error {
  override readonly name = "ModuleExit";
  readonly code: number;

  constructor(code: number) {
    super(`the module ended itself with code ${code}`);
    this.code = code;
  }
}

const maxRandomBytes = 65_536;
const infoLevel = 2;
const errorLevel = 4;
const writeRight = 64n;
const statBytes = 24;

type Imports = Record<string, (...values: never[]) => number | bigint | undefined>;

/**
 * The functions for files, sockets and events, which the host does not have. They do nothing, and most return an error.
 */
const absentFunctions: Imports = {
  sched_yield: () => wasiErrors.success,
  poll_oneoff: () => wasiErrors.noSystem,
  fd_prestat_get: () => wasiErrors.badFile,
  fd_prestat_dir_name: () => wasiErrors.noSystem,
  fd_filestat_get: () => wasiErrors.badFile,
  fd_fdstat_set_flags: () => wasiErrors.noSystem,
  fd_read: () => wasiErrors.noSystem,
  fd_seek: () => wasiErrors.success,
  fd_close: () => wasiErrors.success,
  path_open: () => wasiErrors.noEntry,
  path_filestat_get: () => wasiErrors.notSupported,
  path_create_directory: () => wasiErrors.notSupported,
  path_remove_directory: () => wasiErrors.notSupported,
  path_unlink_file: () => wasiErrors.notSupported,
};

/**
 * The WASI functions that modules of the usual SDKs import. There are no files and no sockets, and standard output goes
 * to the log.
 */
export function wasiFunctions(
  memoryOf: () => GuestMemory,
  state: MachineState,
  log: (level: number, text: string) => void,
): Imports {
  const safely = (run: (memory: GuestMemory) => number): number => {
    try {
      return run(memoryOf());
    } catch (error) {
      if (error instanceof MemoryFault) return wasiErrors.fault;
      throw error;
    }
  };
  const environment = state.options.environment.map(([name, value]) => Buffer.from(`${name}=${value}\0`));
  return {
    fd_write: (file: number, vectors: number, count: number, writtenAt: number) =>
      safely((memory) => writeOut(memory, { file, vectors, count, writtenAt }, log)),
    fd_fdstat_get: (file: number, at: number) =>
      safely((memory) => {
        if (file !== 1 && file !== 2) return wasiErrors.badFile;
        const stat = Buffer.alloc(statBytes);
        stat.writeBigUInt64LE(writeRight, 8);
        memory.write(at, stat);
        return wasiErrors.success;
      }),
    environ_sizes_get: (countAt: number, sizeAt: number) =>
      safely((memory) => {
        memory.writeWord(countAt, environment.length);
        memory.writeWord(
          sizeAt,
          environment.reduce((sum, { length }) => sum + length, 0),
        );
        return wasiErrors.success;
      }),
    environ_get: (pointersAt: number, textAt: number) =>
      safely((memory) => {
        let at = textAt;
        for (const [index, text] of environment.entries()) {
          memory.writeWord(pointersAt + index * 4, at);
          memory.write(at, text);
          at += text.length;
        }
        return wasiErrors.success;
      }),
    ...clockFunctions(safely, state),
    proc_exit: (code: number) => {
      throw new ModuleExit(code);
    },
    ...absentFunctions,
  };
}

type Safely = (run: (memory: GuestMemory) => number) => number;

function clockFunctions(safely: Safely, state: MachineState): Imports {
  return {
    args_sizes_get: (countAt: number, sizeAt: number) =>
      safely((memory) => {
        memory.writeWord(countAt, 0);
        memory.writeWord(sizeAt, 0);
        return wasiErrors.success;
      }),
    args_get: () => wasiErrors.success,
    clock_time_get: (clock: number, _precision: bigint, at: number) =>
      safely((memory) => {
        if (clock !== 0 && clock !== 1) return wasiErrors.notSupported;
        memory.writeLong(at, clock === 0 ? state.host.nowNs() : state.host.steadyNs());
        return wasiErrors.success;
      }),
    clock_res_get: (clock: number, at: number) =>
      safely((memory) => {
        if (clock !== 0 && clock !== 1) return wasiErrors.notSupported;
        memory.writeLong(at, 1n);
        return wasiErrors.success;
      }),
    random_get: (at: number, size: number) =>
      safely((memory) => {
        if (size >>> 0 > maxRandomBytes) return wasiErrors.invalid;
        const bytes = new Uint8Array(size >>> 0);
        state.host.fillRandom(bytes);
        memory.write(at, bytes);
        return wasiErrors.success;
      }),
  };
}

function writeOut(
  memory: GuestMemory,
  {
    file,
    vectors,
    count,
    writtenAt,
  }: { readonly file: number; readonly vectors: number; readonly count: number; readonly writtenAt: number },
  log: (level: number, text: string) => void,
): number {
  if (file !== 1 && file !== 2) return wasiErrors.badFile;
  let written = 0;
  const parts: Buffer[] = [];
  for (let index = 0; index < count; index += 1) {
    const size = memory.readWord(vectors + index * 8 + 4);
    const kept = Math.max(0, Math.min(size, maxTextBytes - written));
    if (kept > 0) parts.push(memory.bytes(memory.readWord(vectors + index * 8), kept));
    written += size;
  }
  const text = Buffer.concat(parts).toString("utf8").replace(/\n$/, "");
  if (text !== "") log(file === 1 ? infoLevel : errorLevel, text);
  memory.writeWord(writtenAt, written);
  return wasiErrors.success;
}
