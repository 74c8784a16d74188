import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, statfsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import type { Environment } from "../../base/index.ts";
import { labHostUid, labRunsAsOtherUser } from "../launcher/index.ts";
import { stateHome } from "../record/index.ts";

/** A requirement of the lab on the machine, and whether it is met. */
export interface Finding {
  readonly subject: string;
  readonly ok: boolean;
  readonly detail: string;
  /** The command or setting that helps. Empty if there is none. */
  readonly remedy: string;
}

export interface DoctorOptions {
  readonly env: Environment;
  /** The command that starts this program in new namespaces, where it prints its findings as JSON. */
  readonly insideCommand: readonly string[];
}

const programs: readonly { readonly name: string; readonly packageName: string }[] = [
  { name: "sh", packageName: "dash" },
  { name: "unshare", packageName: "util-linux" },
  { name: "setpriv", packageName: "util-linux (on Alpine: setpriv)" },
  { name: "nsenter", packageName: "util-linux" },
  { name: "setsid", packageName: "util-linux" },
  { name: "mount", packageName: "mount (util-linux)" },
  { name: "sleep", packageName: "coreutils" },
];
const neededMb = 200;

/** Checks everything that `serin cluster create` needs. Changes nothing. */
export function diagnose(options: DoctorOptions): Finding[] {
  const findings = [
    systemFinding(),
    ...programs.map((program) => programFinding(program, options.env)),
    stateFinding(options.env),
  ];
  const namespaces = namespaceFinding();
  findings.push(namespaces);
  if (namespaces.ok) findings.push(...insideFindings(options.insideCommand));
  return findings;
}

function good(subject: string, detail: string): Finding {
  return { subject, ok: true, detail, remedy: "" };
}

function bad(subject: string, detail: string, remedy: string): Finding {
  return { subject, ok: false, detail, remedy };
}

function systemFinding(): Finding {
  const detail = `${process.platform} ${process.arch}`;
  if (process.platform !== "linux") return bad("system", detail, "run on Linux (a virtual machine will do)");
  if (process.arch !== "x64" && process.arch !== "arm64")
    return bad("system", detail, "x86_64 and aarch64 are supported");
  return good("system", detail);
}

function programFinding({ name, packageName }: (typeof programs)[number], env: Environment): Finding {
  const path = programPath(name, env);
  if (path !== undefined) return good(`program ${name}`, path);
  return bad(`program ${name}`, "not in PATH", `install the package ${packageName}`);
}

/** Returns the path of a program in PATH, or undefined if it is not there. */
export function programPath(name: string, env: Environment): string | undefined {
  for (const directory of (env["PATH"] ?? "").split(delimiter)) {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return join(directory, name);
    } catch {
      // The program is not in this directory.
    }
  }
  return undefined;
}

function stateFinding(env: Environment): Finding {
  const directory = stateHome(env);
  let existing = directory;
  while (!existsSync(existing) && existing !== dirname(existing)) existing = dirname(existing);
  try {
    accessSync(existing, constants.W_OK | constants.X_OK);
  } catch (error) {
    const isReadOnly = (error as NodeJS.ErrnoException).code === "EROFS";
    return bad(
      "state directory",
      `cannot write ${existing}${isReadOnly ? ": the file system is read-only" : ""}`,
      "set XDG_STATE_HOME to a directory that you may write",
    );
  }
  const space = statfsSync(existing);
  const freeMb = Math.floor((space.bavail * space.bsize) / 1024 / 1024);
  if (freeMb < neededMb)
    return bad(
      "state directory",
      `${freeMb} MB free at ${directory}`,
      `make room (${neededMb} MB), or set XDG_STATE_HOME to a directory on another disk`,
    );
  return good("state directory", `${directory}, ${freeMb} MB free`);
}

/** The command that makes the namespaces. Like the launcher, it first makes root a user without rights. */
function namespaceCommand(): string[] {
  const asUser = labRunsAsOtherUser()
    ? ["setpriv", `--reuid=${labHostUid}`, `--regid=${labHostUid}`, "--clear-groups"]
    : [];
  return [...asUser, "unshare", "-Unmuipf", "-r", "--kill-child=KILL", "--mount-proc"];
}

function namespaceFinding(): Finding {
  const [program = "", ...args] = namespaceCommand();
  const { status, stderr, error } = spawnSync(program, [...args, "true"], { encoding: "utf8" });
  if (status === 0) return good("user namespaces", "allowed");
  if (error !== undefined && "code" in error && error.code === "ENOENT")
    return bad("user namespaces", `cannot be checked without ${program}`, "install the program first");
  const detail = (error?.message ?? stderr ?? "").trim();
  return bad("user namespaces", detail, namespaceRemedy());
}

function namespaceRemedy(): string {
  if (readSetting("kernel/apparmor_restrict_unprivileged_userns") === "1") {
    return "AppArmor (Ubuntu 23.10 and newer) forbids them: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (to keep it: echo kernel.apparmor_restrict_unprivileged_userns=0 | sudo tee /etc/sysctl.d/60-serin.conf)";
  }
  if (readSetting("kernel/unprivileged_userns_clone") === "0")
    return "sudo sysctl -w kernel.unprivileged_userns_clone=1";
  if (readSetting("user/max_user_namespaces") === "0") return "sudo sysctl -w user.max_user_namespaces=15000";
  return "in a container, allow the system calls unshare and mount (Docker: --privileged, or --security-opt seccomp=unconfined --security-opt apparmor=unconfined --cap-add SYS_ADMIN)";
}

function readSetting(name: string): string | undefined {
  try {
    return readFileSync(join("/proc/sys", name), "utf8").trim();
  } catch {
    return undefined;
  }
}

function insideFindings(insideCommand: readonly string[]): Finding[] {
  // Run the program as root of a new user namespace. The lab's own unprivileged user may be unable to read the
  // checkout, and this check does not need that user.
  const args = ["-Unmuipf", "-r", "--kill-child=KILL", "--mount-proc", ...insideCommand];
  const { status, stdout, stderr } = spawnSync("unshare", args, { encoding: "utf8" });
  try {
    return JSON.parse(stdout) as Finding[];
  } catch {
    return [
      bad(
        "inside namespaces",
        `the check ended with ${status}: ${stderr.trim().split("\n").at(-1) ?? ""}`,
        "this is a bug of ours: please report it with the output of serin doctor",
      ),
    ];
  }
}
