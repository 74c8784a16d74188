// Builds the file systems of an image's layers for one architecture, each in its own directory. Parts that seldom
// change lie in the lower layers, so that a node pulls only the top layer of the next release.
import {
  chmodSync,
  copyFileSync,
  cpSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { unpackLibraries, type DebianPackage } from "./debian-libraries.ts";
import { runProgram } from "./run-program.ts";

/** Architectures by our names, each with Debian's name and npm's. */
export const architectures = {
  amd64: { debian: "amd64", npm: "x64" },
  arm64: { debian: "arm64", npm: "arm64" },
} as const;
export type Architecture = keyof typeof architectures;

export function isArchitecture(name: string): name is Architecture {
  return Object.hasOwn(architectures, name);
}

const tree = "opt/serin";
const applets = [
  "sh",
  "ls",
  "cat",
  "ps",
  "env",
  "sleep",
  "wget",
  "nc",
  "ip",
  "id",
  "grep",
  "timeout",
  "readlink",
  "dirname",
  "uname",
  "tar",
];
const accounts = [
  ["root", 0, "/root"],
  ["istio-proxy", 1337, "/home/istio-proxy"],
  ["nonroot", 65_532, "/home/nonroot"],
] as const;
const places: readonly (readonly [path: string, mode: number])[] = [
  ["tmp", 0o1777],
  ["root", 0o700],
  ["home", 0o755],
  ["var/lib/istio", 0o777],
  ["var/run", 0o755],
  ["proc", 0o755],
  ["sys", 0o755],
  ["dev", 0o755],
];

/**
 * Writes the C library, a shell, CA certificates, user accounts, and a writable directory for every user. Returns the
 * Debian packages in it.
 */
export function systemTree(architecture: Architecture, directory: string): readonly DebianPackage[] {
  const packages = unpackLibraries(architectures[architecture].debian, directory);
  mkdirSync(join(directory, "bin"), { recursive: true });
  for (const applet of applets) {
    rmSync(join(directory, "bin", applet), { force: true });
    symlinkSync("busybox", join(directory, "bin", applet));
  }
  const authorities = globSync("usr/share/ca-certificates/**/*.crt", { cwd: directory }).sort();
  write(
    directory,
    "etc/ssl/certs/ca-certificates.crt",
    authorities.map((file) => readFileSync(join(directory, file), "utf8")).join(""),
  );
  write(
    directory,
    "etc/passwd",
    accounts.map(([name, id, home]) => `${name}:x:${id}:${id}:${name}:${home}:/bin/sh\n`).join(""),
  );
  write(directory, "etc/group", accounts.map(([name, id]) => `${name}:x:${id}:\n`).join(""));
  // Without this file the C library asks DNS before it reads /etc/hosts.
  write(directory, "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
  // Scanners read the name of the system from this file. The packages come from the system that built the image.
  mkdirSync(join(directory, "usr/lib"), { recursive: true });
  copyFileSync("/etc/os-release", join(directory, "usr/lib/os-release"));
  rmSync(join(directory, "etc/os-release"), { force: true });
  symlinkSync("../usr/lib/os-release", join(directory, "etc/os-release"));
  for (const [place, mode] of places) {
    mkdirSync(join(directory, place), { recursive: true });
    chmodSync(join(directory, place), mode);
  }
  return packages;
}

export interface ProgramTrees {
  readonly node: string;
  readonly packages: string;
  readonly samples: string;
  readonly program: string;
}

export interface ProgramInput {
  readonly root: string;
  /** The archive that `npm pack` wrote. */
  readonly archive: string;
  readonly version: string;
  /** Scripts by their path in the image. */
  readonly scripts: ReadonlyMap<string, string>;
}

/**
 * Installs the package for the architecture, and divides it into separate trees: Node, dependencies, samples, and the
 * package itself.
 */
export function programTrees(architecture: Architecture, input: ProgramInput, scratch: string): ProgramTrees {
  const { npm } = architectures[architecture];
  const trees = {
    node: join(scratch, "node"),
    packages: join(scratch, "packages"),
    samples: join(scratch, "samples"),
    program: join(scratch, "program"),
  };
  const target = join(trees.program, tree);
  installPackage(npm, input, target);
  setVersion(join(target, "package.json"), input.version);
  const carried = `node_modules/node-linux-${npm}`;
  for (const place of ["include", "share", "lib"])
    rmSync(join(target, carried, place), { recursive: true, force: true });
  move(join(target, carried), join(trees.node, tree, carried));
  link(trees.node, "usr/local/bin/node", `/${tree}/${carried}/bin/node`);
  trimPackages(join(target, "node_modules"));
  move(join(target, "node_modules"), join(trees.packages, tree, "node_modules"));
  move(join(target, "samples"), join(trees.samples, tree, "samples"));
  cpSync(join(target, "package.json"), join(trees.samples, tree, "package.json"));
  link(trees.program, "usr/local/bin/serin", `/${tree}/bin/serin`);
  for (const [path, text] of input.scripts) {
    const isOfSample = text.includes(`/${tree}/samples/`);
    write(isOfSample ? trees.samples : trees.program, path.slice(1), text, 0o755);
  }
  return trees;
}

/**
 * Installs the archive of `npm pack` and its dependencies for an architecture. `npm` is npm's name of the architecture.
 * Leaves out npm's own metadata.
 */
export function installPackage(
  npm: string,
  { root, archive }: Pick<ProgramInput, "root" | "archive">,
  target: string,
): void {
  mkdirSync(target, { recursive: true });
  runProgram("tar", ["--extract", "--file", archive, "--directory", target, "--strip-components=1"]);
  for (const file of ["package-lock.json", ".npmrc"]) cpSync(join(root, file), join(target, file));
  runProgram(
    "npm",
    ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", `--cpu=${npm}`, "--os=linux", "--libc=glibc"],
    { cwd: target },
  );
  for (const file of ["package-lock.json", ".npmrc", "node_modules/.package-lock.json"])
    rmSync(join(target, file), { force: true });
  if (statSync(join(target, `node_modules/node-linux-${npm}/bin/node`), { throwIfNoEntry: false }) === undefined)
    throw new Error(
      `npm installed no node-linux-${npm}: is it in package-lock.json? (node scripts/complete-lockfile.ts)`,
    );
}

/** Removes types and source maps, which only developers need. */
export function trimPackages(modules: string): void {
  rmSync(join(modules, "@types"), { recursive: true, force: true });
  for (const file of globSync("**/*.{d.ts,d.cts,d.mts,map,tsbuildinfo}", { cwd: modules })) rmSync(join(modules, file));
}

function setVersion(file: string, version: string): void {
  const manifest = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  writeFileSync(file, `${JSON.stringify({ ...manifest, version }, undefined, 2)}\n`);
}

function move(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  renameSync(from, to);
}

function link(directory: string, name: string, to: string): void {
  mkdirSync(dirname(join(directory, name)), { recursive: true });
  symlinkSync(to, join(directory, name));
}

function write(directory: string, name: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(join(directory, name)), { recursive: true });
  rmSync(join(directory, name), { force: true });
  writeFileSync(join(directory, name), text, { mode });
}
