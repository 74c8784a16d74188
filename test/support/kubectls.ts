// The kubectl programs that the end-to-end tests drive.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, symlinkSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { tmpdir } from "node:os";

export interface Kubectl {
  readonly title: string;
  /** The program's file. Undefined if the program is required but missing. */
  readonly file: string | undefined;
}

const cache = join(import.meta.dirname, "../../.cache/kubectl");
const remedy = "scripts/fetch/kubectls.sh puts both into .cache/kubectl";

/**
 * The programs to test with. If SERIN_KUBECTL (a name or a file) is set, only that one. Otherwise the two that
 * `scripts/fetch/kubectls.sh` fetches: Debian's old one and a current one. Without these, the machine's own. With
 * CI=true, both are required, and a missing one fails its test.
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

/** A directory that contains the program as `kubectl`, to prepend to PATH. */
export function kubectlDirectory({ title, file }: Kubectl): string {
  if (file === undefined) throw new Error(`${title} is not there: ${remedy}`);
  const directory = mkdtempSync(join(tmpdir(), "serin-kubectl-"));
  symlinkSync(file, join(directory, "kubectl"));
  return directory;
}

/** The first line of `kubectl version --client`. */
export function kubectlVersion({ file }: Kubectl): string {
  if (file === undefined) return "missing";
  return spawnSync(file, ["version", "--client"], { encoding: "utf8" }).stdout.split("\n")[0] ?? "";
}
