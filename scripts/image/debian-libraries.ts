// The C library and what else Node links to, from Debian's packages, for an architecture that need not be this machine's.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram } from "./run-program.ts";

/** `busybox-static` is the image's shell: the entry script needs one, and so does whoever looks into a pod. */
const packages = ["libc6", "libgcc-s1", "libstdc++6", "busybox-static", "ca-certificates"] as const;

/** Unpacks them into `target`. Needs apt-get and dpkg; the machine's own package lists stay as they are. */
export function unpackLibraries(debianArchitecture: string, target: string): void {
  const scratch = mkdtempSync(join(tmpdir(), "serin-image-"));
  try {
    for (const directory of ["lists/partial", "cache/archives/partial", "dpkg"])
      mkdirSync(join(scratch, directory), { recursive: true });
    writeFileSync(join(scratch, "dpkg/status"), "");
    const settings = {
      "APT::Architecture": debianArchitecture,
      "APT::Architectures": debianArchitecture,
      "Dir::State::Lists": join(scratch, "lists"),
      "Dir::State::status": join(scratch, "dpkg/status"),
      "Dir::Cache": join(scratch, "cache"),
      "APT::Sandbox::User": "root",
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    runProgram("apt-get", [...options, "update", "-qq"], { cwd: scratch });
    runProgram("apt-get", [...options, "download", "-qq", ...packages], { cwd: scratch });
    mkdirSync(target, { recursive: true });
    for (const file of readdirSync(scratch).filter((name) => name.endsWith(".deb")))
      runProgram("dpkg", ["-x", file, target], { cwd: scratch });
    // Nobody reads manuals and translations there.
    for (const directory of ["usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/share/locale"])
      rmSync(join(target, directory), { recursive: true, force: true });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
