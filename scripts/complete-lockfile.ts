// Adds builds for other platforms to package-lock.json. npm leaves out the builds that a registry's mirror did not have
// when a dependency was installed, and `npm ci` then reports an incomplete lock file. Linux with glibc never downloads
// these builds.
//   node scripts/complete-lockfile.ts
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface LockedPackage {
  readonly dev?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lockfile {
  packages: Record<string, LockedPackage & Record<string, unknown>>;
}

const operatingSystems = ["android", "darwin", "freebsd", "linux", "openharmony", "win32"];
const path = join(import.meta.dirname, "../package-lock.json");

/** Reads the platform from the end of a package's name, such as `…-linux-x64-musl` or `darwin-arm64`. */
function entryOf(name: string, version: string, dev: boolean): Record<string, unknown> {
  const words = (name.split("/").at(-1) ?? "").split("-");
  const at = words.findIndex((word) => operatingSystems.includes(word));
  const [os, cpu, abi = ""] = words.slice(at);
  if (at === -1 || os === undefined || cpu === undefined)
    throw new Error(`${name}: its name contains no platform; install it where the registry has it`);
  const libc = os === "linux" && abi !== "" ? { libc: [abi.startsWith("musl") ? "musl" : "glibc"] } : {};
  return { version, cpu: [cpu], ...(dev ? { dev } : {}), ...libc, optional: true, os: [os] };
}

const lock = JSON.parse(readFileSync(path, "utf8")) as Lockfile;
let added = 0;
for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (lock.packages[key] !== undefined) continue;
    lock.packages[key] = entryOf(name, version, entry.dev === true);
    added += 1;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).toSorted(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(path, `${JSON.stringify(lock, undefined, 2)}\n`);
process.stdout.write(`${added} packages added\n`);
