// Makes the downloads of a release: the npm package, an archive for each architecture in the layout of Istio's
// releases, the images, the charts, a bill of materials and checksums. The same commit gives the same bytes, as long as
// Debian's packages are the same.
//   npm run release [-- --output DIR] [--arch amd64,arm64] [--verify | --verify-only]
// --verify makes everything a second time, in other folders and with other settings, and compares the bytes.
import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { billOfMaterials, npmComponents } from "./image/bill-of-materials.ts";
import { architectures, installPackage, isArchitecture, trimPackages, type Architecture } from "./image/layer-trees.ts";
import { runProgram } from "./image/run-program.ts";
import { writeTar } from "./image/write-tar.ts";
import { differentFiles } from "./release/different-files.ts";
import { scriptArguments } from "./arguments/script-arguments.ts";

const root = join(import.meta.dirname, "..");
const serin = join(root, "bin/serin");
const sums = "SHA256SUMS";

const { values } = scriptArguments(
  {
    command: "npm run release --",
    help: {
      output: "the directory of the release",
      arch: "architectures, separated by commas",
      verify: "build everything a second time, and compare the bytes",
      "verify-only": "only check the release in that directory",
    },
  },
  {
    output: { type: "string", default: join(root, ".cache/release") },
    arch: { type: "string", default: Object.keys(architectures).join(",") },
    verify: { type: "boolean", default: false },
    "verify-only": { type: "boolean", default: false },
  },
);

interface Package {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Package;
const output = resolve(values.output);
const title = `${own.name}-${own.version}`;

function note(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Returns the commit's date. All files of the release get it, so that two runs give the same bytes. */
function sourceDateEpoch(): string {
  return process.env["SOURCE_DATE_EPOCH"] ?? runProgram("git", ["log", "-1", "--format=%ct"], { cwd: root }).trim();
}

function pack(): string {
  const args = ["pack", "--json", "--pack-destination", output, "--loglevel=error", "--foreground-scripts=false"];
  const [packed] = JSON.parse(runProgram("npm", args, { cwd: root })) as [{ readonly filename: string }];
  return join(output, packed.filename);
}

/**
 * Writes the archive of an architecture. It contains Node, and it has `bin/istioctl`, `samples`, `manifests/profiles`
 * and `manifests/charts` at the same places as Istio's archives.
 */
function writeArchive(architecture: Architecture, archive: string, scratch: string): void {
  const name = `${title}-linux-${architecture}`;
  const target = join(scratch, name, title);
  installPackage(architectures[architecture].npm, { root, archive }, target);
  trimPackages(join(target, "node_modules"));
  runProgram(serin, ["release", "export", target]);
  rmSync(join(target, "bin/istioctl"));
  symlinkSync("serin", join(target, "bin/istioctl"));
  cpSync(join(output, "charts"), join(target, "manifests/charts"), { recursive: true });
  writeFileSync(
    join(output, `${name}.cdx.json`),
    billOfMaterials(
      { type: "application", name: own.name, version: own.version, licenses: [{ expression: own.license }] },
      npmComponents(join(target, "node_modules")),
    ),
  );
  const tar = join(output, `${name}.tar`);
  writeTar(tar, join(scratch, name), title);
  // Without --no-name, gzip would store a name and a time.
  runProgram("gzip", ["--no-name", "--best", "--force", tar]);
}

function writeImages(architecture: Architecture, scratch: string): void {
  const layout = join(scratch, `images-${architecture}`);
  const script = join(root, "scripts/build-image.ts");
  runProgram(process.execPath, [script, "--arch", architecture, "--output", layout]);
  writeTar(join(output, `${title}-images-linux-${architecture}.tar`), layout, ".");
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .filter((file) => file !== sums)
    .sort();
}

async function build(wanted: readonly Architecture[], scratch: string): Promise<void> {
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  process.env["SOURCE_DATE_EPOCH"] = sourceDateEpoch();
  const archive = pack();
  note(archive);
  runProgram(serin, ["charts", "package", join(output, "charts")]);
  for (const architecture of wanted) {
    writeArchive(architecture, archive, scratch);
    note(join(output, `${title}-linux-${architecture}.tar.gz`));
    writeImages(architecture, scratch);
    note(join(output, `${title}-images-linux-${architecture}.tar`));
  }
  copyFileSync(join(root, "CHANGELOG.md"), join(output, "CHANGELOG.md"));
  const lines: string[] = [];
  for (const file of filesBelow(output)) lines.push(`${await digestOf(join(output, file))}  ${file}\n`);
  writeFileSync(join(output, sums), lines.join(""));
}

/**
 * Makes the release again with other folders, and another umask, time zone and language. Throws if its bytes differ.
 */
function compareWithSecondRun(scratch: string): void {
  const second = join(scratch, "second");
  const temporary = join(scratch, "temporary");
  mkdirSync(temporary);
  const command = [process.execPath, import.meta.filename, "--output", second, "--arch", values.arch];
  runProgram("sh", ["-c", 'umask 077; exec "$0" "$@"', ...command], {
    env: { ...process.env, TMPDIR: temporary, TZ: "Pacific/Chatham", LC_ALL: "C", LANG: "C" },
  });
  const [before, now] = [output, second].map((directory) => readFileSync(join(directory, sums), "utf8"));
  const different = differentFiles(before ?? "", now ?? "");
  if (different.length > 0)
    throw new Error(`A second run of the same commit gave different bytes:\n${different.join("\n")}`);
  note(`a second run gave the same bytes: ${filesBelow(output).length} files`);
}

/**
 * Verifies the checksums, installs the package into an empty prefix, unpacks the archive for this machine's
 * architecture, and runs both.
 */
function verify(scratch: string): void {
  runProgram("sha256sum", ["--check", "--strict", "--quiet", sums], { cwd: output });
  const prefix = join(scratch, "prefix");
  mkdirSync(prefix);
  runProgram("npm", ["install", "--prefix", prefix, "--no-audit", "--no-fund", join(output, `${title}.tgz`)]);
  expectVersion(join(prefix, "node_modules/.bin/serin"));
  const machine = process.arch === "arm64" ? "arm64" : "amd64";
  runProgram("tar", ["--extract", "--file", join(output, `${title}-linux-${machine}.tar.gz`), "--directory", scratch]);
  expectVersion(join(scratch, title, "bin/istioctl"));
}

function expectVersion(program: string): void {
  const reported = runProgram(program, ["version", "--remote=false", "--short"], { cwd: tmpdir() });
  if (!reported.includes(own.version))
    throw new Error(`${program} says version ${reported.trim()}, not ${own.version}`);
  note(`${program}: ${reported.trim()}`);
}

const chosen = values.arch.split(",");
const unknown = chosen.filter((name) => !isArchitecture(name));
if (unknown.length > 0) {
  process.stderr.write(
    `--arch: ${unknown.join(", ")} is not known; known are ${Object.keys(architectures).join(", ")}\n`,
  );
  process.exit(1);
}
// File modes in the archives must not depend on the user's umask.
process.umask(0o022);
const scratch = mkdtempSync(join(tmpdir(), "serin-release-"));
try {
  if (!values["verify-only"]) await build(chosen.filter(isArchitecture), scratch);
  verify(scratch);
  if (values.verify) compareWithSecondRun(scratch);
  note(`release ${own.version} is in ${output}`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
