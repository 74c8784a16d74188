import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";

/** The number of characters at the end of a kubelet's log that stay in memory. They contain the names of the pods. */
const keptCharacters = 4_000_000;
/**
 * The kubelet's line about a container whose process ended itself by a signal: SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE
 * or SIGSEGV. V8 and a failed assertion of Node end a process in this way. A kill by a user, a test or the kernel
 * has another code.
 */
const crash = /"Generic \(PLEG\): container finished" podID="([^"]+)".* exitCode=(13[2-6]|139)\b/g;

interface ReadLog {
  readonly path: string;
  /** The last part of the log, which contains the names of pods. */
  text: string;
  readBytes: number;
}

/**
 * Finds containers that have crashed, by the kubelets' logs. The status of pods would not show all crashes: a pod may
 * have been deleted since, and its number of restarts includes intended ones.
 */
export class ContainerCrashes {
  readonly #logs: readonly ReadLog[];

  constructor(paths: readonly string[]) {
    this.#logs = paths.map((path) => ({ path, text: "", readBytes: 0 }));
  }

  /** Returns the crashes since the last call, such as `bookinfo/ztunnel-1 ended with 133`. */
  next(): string[] {
    return this.#logs.flatMap((log) => {
      const added = readFrom(log.path, log.readBytes);
      log.readBytes += added.length;
      const text = added.toString("utf8");
      log.text = (log.text + text).slice(-keptCharacters);
      return [...text.matchAll(crash)].map(([, pod = "", code = ""]) => `${nameOf(pod, log.text)} ended with ${code}`);
    });
  }
}

/** Returns the bytes of the file after the position, up to the end of its last whole line. */
function readFrom(path: string, position: number): Buffer {
  if (!existsSync(path)) return Buffer.alloc(0);
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(Math.max(0, fstatSync(file).size - position));
    const read = bytes.subarray(0, readSync(file, bytes, 0, bytes.length, position));
    return read.subarray(0, read.lastIndexOf("\n") + 1);
  } finally {
    closeSync(file);
  }
}

function nameOf(uid: string, text: string): string {
  const [, name] = new RegExp(`pod="([^"]+)" podUID="${uid}"`).exec(text) ?? [];
  const [, ofVolume] = new RegExp(`pod \\\\"([^"\\\\]+)\\\\" \\(UID: \\\\"${uid}`).exec(text) ?? [];
  return name ?? ofVolume ?? `pod ${uid}`;
}
