// Unpacks the C library and the other libraries of Node from Debian's packages, also for architectures other than this
// machine's.
import { globSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram } from "./run-program.ts";

/**
 * The packages to unpack. `busybox-static` is the image's shell, for the entry script and for people who look into a
 * pod.
 */
const packages = ["libc6", "libgcc-s1", "libstdc++6", "busybox-static", "ca-certificates"] as const;

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
}

/** Unpacks the packages into `target`. Needs apt-get and dpkg. The machine's own package lists do not change. */
export function unpackLibraries(debianArchitecture: string, target: string): readonly DebianPackage[] {
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
      // Without these, an update takes 1.7 s instead of 2.7 s. They are translations, and descriptions of desktop
      // programs.
      "Acquire::Languages": "none",
      "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    runProgram("apt-get", [...options, "update", "-qq"], { cwd: scratch });
    runProgram("apt-get", [...options, "download", "-qq", ...packages], { cwd: scratch });
    mkdirSync(join(target, statusDirectory), { recursive: true });
    const unpacked = readdirSync(scratch)
      .filter((name) => name.endsWith(".deb"))
      .sort()
      .map((file) => unpack(join(scratch, file), target));
    // An image needs no manuals, translations or debugger files.
    for (const directory of ["doc", "man", "lintian", "locale", "gdb", "gcc"])
      rmSync(join(target, "usr/share", directory), { recursive: true, force: true });
    // An image does not need the character sets of the C library either. Only programs that call iconv read them, and
    // Node and busybox do not.
    for (const directory of globSync("{usr/,}lib/*/gconv", { cwd: target }))
      rmSync(join(target, directory), { recursive: true });
    return unpacked;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The folder in which scanners look for the packages of an image without a package manager. */
const statusDirectory = "var/lib/dpkg/status.d";

function unpack(file: string, target: string): DebianPackage {
  runProgram("dpkg", ["-x", file, target]);
  const control = runProgram("dpkg-deb", ["--field", file]);
  const field = (name: string): string => new RegExp(`^${name}: (.*)$`, "m").exec(control)?.[1] ?? "";
  const found = { name: field("Package"), version: field("Version"), architecture: field("Architecture") };
  writeFileSync(join(target, statusDirectory, found.name), control);
  return found;
}
