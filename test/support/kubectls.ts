// The kubectl programs that the end-to-end tests drive.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, symlinkSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { tmpdir } from "node:os";

export interface Kubectl {
  readonly title: string;
  /** Its file; undefined when it is wanted and not there. */
  readonly file: string | undefined;
}

const cache = join(import.meta.dirname, "../../.cache/kubectl");
const remedy = "scripts/fetch-kubectls.sh puts both into .cache/kubectl";

/**
 * SERIN_KUBECTL (a name or a file) alone, when it is set; else those of `scripts/fetch-kubectls.sh`: Debian's old one and a
 * current one. Without them the machine's own; with CI=true both are wanted, and one that is missing is a failure of its test.
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

/** A directory that holds it as `kubectl`, for the front of PATH. */
export function kubectlDirectory({ title, file }: Kubectl): string {
  if (file === undefined) throw new Error(`${title} is not there: ${remedy}`);
  const directory = mkdtempSync(join(tmpdir(), "serin-kubectl-"));
  symlinkSync(file, join(directory, "kubectl"));
  return directory;
}

/** What it says of itself, on one line. */
export function kubectlVersion({ file }: Kubectl): string {
  if (file === undefined) return "missing";
  return spawnSync(file, ["version", "--client"], { encoding: "utf8" }).stdout.split("\n")[0] ?? "";
}
