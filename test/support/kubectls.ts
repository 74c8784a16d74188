// The kubectl programs that the end-to-end tests use.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { tmpdir } from "node:os";

export interface Kubectl {
  readonly title: string;
  /** Undefined if the program is required but missing. */
  readonly file: string | undefined;
}

const cache = join(import.meta.dirname, "../../.cache/kubectl");
const remedy = "scripts/fetch/kubectls.sh puts both into .cache/kubectl";

/**
 * The programs to test with. With SERIN_KUBECTL (a name or a file), only that one. Otherwise the two that
 * `scripts/fetch/kubectls.sh` fetches: Debian's old one and a current one. If these are missing, the machine's own.
 * With CI=true both are required, and a missing one fails its test.
 */
export function kubectls(): Kubectl[] {
  const chosen = process.env["SERIN_KUBECTL"];
  if (chosen !== undefined && chosen !== "") return [named(chosen)];
  const fetched = ["kubectl-1.20", "kubectl"].map((name) => ({
    title: name === "kubectl" ? "a current kubectl" : "kubectl 1.20",
    path: join(cache, name),
  }));
  const wanted = process.env["CI"] === "true" ? fetched : fetched.filter(({ path }) => existsSync(path));
  if (wanted.length === 0) return [named("kubectl")];
  return wanted.map(({ title, path }) => ({ title, file: existsSync(path) ? path : undefined }));
}

function named(program: string): Kubectl {
  const file = program.includes("/")
    ? resolve(program)
    : (process.env["PATH"] ?? "")
        .split(delimiter)
        .map((directory) => join(directory, program))
        .find((path) => existsSync(path));
  return { title: program, file: file !== undefined && isAbsolute(file) && existsSync(file) ? file : undefined };
}

/**
 * Starts kubectl in the language with the shortest list of translations. At each start, kubectl packs the whole list
 * into an archive and reads it again, which for English takes 17 of 41 ms of CPU time. The Korean list has 16 entries:
 * texts of help, and an error of `get --watch` for several objects.
 */
const quickStart = `#!/bin/sh
export LC_ALL=ko_KR.UTF-8
exec "\${0%/*}/program/kubectl" "$@"
`;

/** A directory for the beginning of PATH, in which the program is `kubectl`. */
export function kubectlDirectory({ title, file }: Kubectl): string {
  if (file === undefined) throw new Error(`${title} is not there: ${remedy}`);
  const directory = mkdtempSync(join(tmpdir(), "serin-kubectl-"));
  mkdirSync(join(directory, "program"));
  symlinkSync(file, join(directory, "program/kubectl"));
  writeFileSync(join(directory, "kubectl"), quickStart, { mode: 0o755 });
  return directory;
}

export function withKubectl<Lab>(kubectl: Kubectl, make: () => Lab): Lab {
  const path = process.env["PATH"];
  process.env["PATH"] = `${kubectlDirectory(kubectl)}:${path ?? ""}`;
  try {
    return make();
  } finally {
    process.env["PATH"] = path;
  }
}

/** Makes a lab whose shell finds the newest of {@link kubectls} first. */
export function withNewestKubectl<Lab>(make: () => Lab): Lab {
  const [kubectl] = kubectls().slice(-1);
  if (kubectl === undefined) throw new Error(`there is no kubectl: ${remedy}`);
  return withKubectl(kubectl, make);
}

export function kubectlVersion({ file }: Kubectl): string {
  if (file === undefined) return "missing";
  return spawnSync(file, ["version", "--client"], { encoding: "utf8" }).stdout.split("\n")[0] ?? "";
}
