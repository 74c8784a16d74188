// Writes the images that the manifests name on a real Kubernetes as one OCI layout, without Docker: Debian's C library, Node and
// the compiled package, for amd64 and arm64. Load it with `skopeo copy oci:DIR:pilot …`, `ctr image import` or `podman pull oci:…`.
//   npm run image [-- --output DIR] [--arch amd64,arm64] [--version V]
import {
  chmodSync,
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { parseImageCatalogue } from "../src/cluster/images/parse-catalogue.ts";
import { unpackLibraries } from "./image/debian-libraries.ts";
import { OciLayout, type Layer, type Platform } from "./image/oci-layout.ts";
import { runProgram } from "./image/run-program.ts";

const root = join(import.meta.dirname, "..");
/** By our name: Debian's and npm's. */
const architectures = { amd64: { debian: "amd64", npm: "x64" }, arm64: { debian: "arm64", npm: "arm64" } } as const;
type Architecture = keyof typeof architectures;

interface Package {
  readonly name: string;
  version: string;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

function readPackage(): Package {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Package;
}

function isArchitecture(name: string): name is Architecture {
  return name in architectures;
}

/** The C library, a shell, and a place for every user to write. */
function systemLayer(architecture: Architecture, directory: string): void {
  unpackLibraries(architectures[architecture].debian, directory);
  mkdirSync(join(directory, "bin"), { recursive: true });
  for (const applet of [
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
  ]) {
    rmSync(join(directory, "bin", applet), { force: true });
    symlinkSync("busybox", join(directory, "bin", applet));
  }
  mkdirSync(join(directory, "etc/ssl/certs"), { recursive: true });
  const authorities = globSync("usr/share/ca-certificates/**/*.crt", { cwd: directory }).sort();
  writeFileSync(
    join(directory, "etc/ssl/certs/ca-certificates.crt"),
    authorities.map((file) => readFileSync(join(directory, file), "utf8")).join(""),
  );
  writeFileSync(
    join(directory, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\nistio-proxy:x:1337:1337:istio-proxy:/home/istio-proxy:/bin/sh\nnonroot:x:65532:65532:nonroot:/home/nonroot:/bin/sh\n",
  );
  writeFileSync(join(directory, "etc/group"), "root:x:0:\nistio-proxy:x:1337:\nnonroot:x:65532:\n");
  for (const [place, mode] of [
    ["tmp", 0o1777],
    ["root", 0o700],
    ["home", 0o755],
    ["var/lib/istio", 0o777],
    ["var/run", 0o755],
    ["proc", 0o755],
    ["sys", 0o755],
    ["dev", 0o755],
  ] as const) {
    mkdirSync(join(directory, place), { recursive: true });
    chmodSync(join(directory, place), mode);
  }
}

/** The package as npm installs it for that architecture, with the Node that it carries, as /opt/serin. */
function programLayer(architecture: Architecture, archive: string, directory: string): void {
  const { npm } = architectures[architecture];
  const target = join(directory, "opt/serin");
  mkdirSync(target, { recursive: true });
  runProgram("tar", ["--extract", "--file", archive, "--directory", target, "--strip-components=1"]);
  cpSync(join(root, "package-lock.json"), join(target, "package-lock.json"));
  cpSync(join(root, ".npmrc"), join(target, ".npmrc"));
  runProgram(
    "npm",
    ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", `--cpu=${npm}`, "--os=linux", "--libc=glibc"],
    { cwd: target },
  );
  for (const file of ["package-lock.json", ".npmrc"]) rmSync(join(target, file));
  const carried = join(target, `node_modules/node-linux-${npm}`);
  if (statSync(join(carried, "bin/node"), { throwIfNoEntry: false }) === undefined)
    throw new Error(
      `npm installed no node-linux-${npm}: is it in package-lock.json? (node scripts/complete-lockfile.ts)`,
    );
  for (const place of ["include", "share", "lib"]) rmSync(join(carried, place), { recursive: true, force: true });
  mkdirSync(join(directory, "usr/local/bin"), { recursive: true });
  for (const [name, to] of [
    ["serin", "/opt/serin/bin/serin"],
    ["node", `/opt/serin/node_modules/node-linux-${npm}/bin/node`],
  ] as const)
    symlinkSync(to, join(directory, "usr/local/bin", name));
}

/** `pilot` → `["/usr/local/bin/serin", "pilot"]`, from the catalogue that the lab runs the same images by. */
function images(): ReadonlyMap<string, readonly string[]> {
  const catalogue = parseImageCatalogue(
    readFileSync(join(root, "manifests/images.yaml"), "utf8"),
    "manifests/images.yaml",
  );
  const out = new Map<string, readonly string[]>();
  for (const { images: patterns, release, entrypoint } of catalogue) {
    if (release !== "tag" || entrypoint[0] !== "serin") continue;
    for (const pattern of patterns)
      out.set(pattern.slice(pattern.lastIndexOf("/") + 1), ["/usr/local/bin/serin", ...entrypoint.slice(1)]);
  }
  return out;
}

const { values } = parseArgs({
  options: { output: { type: "string" }, arch: { type: "string" }, version: { type: "string" } },
});
const chosen = (values.arch ?? Object.keys(architectures).join(",")).split(",");
const unknown = chosen.filter((name) => !isArchitecture(name));
if (unknown.length > 0) {
  process.stderr.write(
    `--arch: ${unknown.join(", ")} is not known; known are ${Object.keys(architectures).join(", ")}\n`,
  );
  process.exit(1);
}
const output = resolve(values.output ?? join(root, ".cache/image"));
const { version: ownVersion } = readPackage();
const version = values.version ?? ownVersion;
const scratch = mkdtempSync(join(tmpdir(), "serin-image-"));
try {
  const packed = JSON.parse(
    runProgram(
      "npm",
      ["pack", "--json", "--pack-destination", scratch, "--loglevel=error", "--foreground-scripts=false"],
      { cwd: root },
    ),
  ) as [{ filename: string }];
  const archive = join(scratch, packed[0].filename);
  const staged = `${output}.new`;
  const layout = new OciLayout(staged);
  layout.open();
  const variants = chosen.filter(isArchitecture).map((architecture): { platform: Platform; layers: Layer[] } => {
    const layers = (["system", "program"] as const).map((part) => {
      const directory = join(scratch, `${part}-${architecture}`);
      if (part === "system") systemLayer(architecture, directory);
      else programLayer(architecture, archive, directory);
      if (part === "program") setVersion(join(directory, "opt/serin/package.json"));
      const layer = layout.addLayer(directory);
      process.stdout.write(`${architecture}: ${part}, ${Math.round(layer.descriptor.size / 1024 / 1024)} MB\n`);
      return layer;
    });
    return { platform: { os: "linux", architecture }, layers };
  });
  const environment = { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: "/tmp", NODE_COMPILE_CACHE: "/tmp/serin" };
  for (const [name, entrypoint] of images()) {
    layout.addImage(
      name,
      {
        entrypoint,
        environment,
        labels: { "org.opencontainers.image.title": name, "org.opencontainers.image.version": version },
      },
      variants,
    );
  }
  layout.close();
  rmSync(output, { recursive: true, force: true });
  renameSync(staged, output);
  process.stdout.write(`${[...images().keys()].join(", ")} ${version}: ${output}\n`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** What the release answers as its version. */
function setVersion(file: string): void {
  const manifest = JSON.parse(readFileSync(file, "utf8")) as Package;
  manifest.version = version;
  writeFileSync(file, `${JSON.stringify(manifest, undefined, 2)}\n`);
}
