// What a container controls must have no effect while a process has more rights than the container.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test, type TestContext } from "node:test";
import { Socket } from "node:net";
import koffi from "koffi";
import { requireOwnNetwork } from "../../../net/testing/index.ts";
import { spawnContainer, type SpawnedContainer } from "./container-process.ts";
import { buildContainerRoot, type ContainerMount } from "./container-root.ts";
import type { ExecContext } from "./exec-context.ts";
import { closeDescriptor } from "../libc.ts";
import { execInContainer, openTerminal, spawnInContainer, terminalStream } from "./exec-session.ts";

requireOwnNetwork();

const scratch = (): string => mkdtempSync(join(tmpdir(), "serin-escape-"));
/** A file of the machine that no container may see or touch. */
const machine = scratch();
writeFileSync(join(machine, "secret"), "the machine's");
after(() => execFileSync("rm", ["-rf", machine]));

interface Options {
  readonly mounts?: readonly ContainerMount[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly capabilities?: readonly string[];
  readonly noNewPrivileges?: boolean;
  readonly workingDirectory?: string;
  readonly hostProc?: boolean;
}

interface Started {
  readonly spawned: SpawnedContainer;
  readonly output: Promise<string>;
  readonly context: ExecContext;
}

function start(script: string, options: Options = {}): Started {
  const { workingDirectory = "/", hostProc = false } = options;
  const mount = buildContainerRoot({
    workDirectory: scratch(),
    mounts: options.mounts ?? [],
    scripts: {},
    etcFiles: {},
    hostProc,
    workingDirectory,
    readOnlyRoot: false,
    sizeMb: 16,
  });
  const rights = {
    privileged: false,
    capabilities: options.capabilities ?? [],
    user: 0,
    group: 0,
    noNewPrivileges: options.noNewPrivileges ?? false,
  };
  const environment = { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", ...options.environment };
  const spawned = spawnContainer({
    namespaces: { mount },
    hostPid: hostProc,
    directory: scratch(),
    stdin: false,
    terminal: undefined,
    command: { argv: ["/bin/sh", "-c", script], environment, workingDirectory, rights },
  });
  const output = text(new Socket({ fd: spawned.output, readable: true, writable: false }));
  const context = {
    namespaces: { mount },
    initPid: spawned.process.identity.pid,
    environment,
    workingDirectory,
    rights,
  };
  return { spawned, output, context };
}

async function outputOf(script: string, options: Options = {}): Promise<string> {
  const { spawned, output } = start(script, options);
  await spawned.process.exited;
  return await output;
}

/**
 * A library that notes how many capabilities each program has which loads it, and what the program sees of the machine.
 */
function spyLibrary(): string {
  const directory = scratch();
  writeFileSync(
    join(directory, "spy.c"),
    `#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
__attribute__((constructor)) static void spy(void) {
  char line[256];
  int notes = open("/spy/notes", O_WRONLY | O_CREAT | O_APPEND, 0666);
  FILE *status = fopen("/proc/self/status", "r");
  if (status == NULL) dprintf(notes, "no proc\\n");
  while (status != NULL && fgets(line, sizeof line, status) != NULL)
    if (strncmp(line, "CapEff", 6) == 0 || strncmp(line, "CapBnd", 6) == 0) dprintf(notes, "%s", line);
  if (access("${machine}/secret", F_OK) == 0 || access("/proc/1/root${machine}/secret", F_OK) == 0) dprintf(notes, "sees the machine\\n");
}
`,
  );
  execFileSync("cc", ["-shared", "-fPIC", "-o", join(directory, "spy.so"), join(directory, "spy.c")]);
  writeFileSync(join(directory, "notes"), "");
  return directory;
}

const noRights = ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"];
const notesOf = (directory: string): string[] => readFileSync(join(directory, "notes"), "utf8").trim().split("\n");

/** Every program that loaded the library had exactly the container's rights. */
function assertOnlyOwnRights(directory: string): void {
  const notes = notesOf(directory);
  assert.ok(notes.length > 1, "the container's own programs load it");
  assert.deepEqual(
    notes.filter((line) => !noRights.includes(line)),
    [],
  );
}

const spies = (directory: string): ContainerMount[] => [{ source: directory, target: "/spy", readOnly: false }];

/** The tests that run code of a container need a C compiler, which the machines that run the suite have. */
function needCompiler(context: TestContext): boolean {
  try {
    execFileSync("cc", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    context.skip("there is no C compiler");
    return false;
  }
}

for (const variable of ["LD_PRELOAD", "LD_AUDIT"])
  test(`a library of the variable ${variable} runs with the container's rights alone, at its start and in an exec`, async (context) => {
    if (!needCompiler(context)) return;
    const directory = spyLibrary();
    const options = { mounts: spies(directory), environment: { [variable]: "/spy/spy.so" } };
    const { spawned, output, context: beside } = start("sleep 987", options);
    await execInContainer(beside, ["true"], 5_000);
    spawned.process.kill();
    await spawned.process.exited;
    await output;
    assertOnlyOwnRights(directory);
  });

test("a library that a volume adds to /etc/ld.so.preload runs with the container's rights alone", async (context) => {
  if (!needCompiler(context)) return;
  const directory = spyLibrary();
  writeFileSync(join(directory, "preload"), "/spy/spy.so\n");
  const preload = { source: join(directory, "preload"), target: "/etc/ld.so.preload", readOnly: true };
  const { spawned, output, context: beside } = start("sleep 987", { mounts: [...spies(directory), preload] });
  await execInContainer(beside, ["true"], 5_000);
  spawned.process.kill();
  await spawned.process.exited;
  await output;
  assertOnlyOwnRights(directory);
});

test("programs that the variable PATH or a volume puts before the machine's run with the container's rights alone", async () => {
  const directory = scratch();
  mkdirSync(join(directory, "bin"));
  writeFileSync(join(directory, "notes"), "");
  for (const name of ["mount", "mkdir", "setpriv", "sh", "setsid"])
    writeFileSync(
      join(directory, "bin", name),
      `#!/usr/bin/bash\nwhile read -r name rest; do case $name in CapEff:|CapBnd:) echo "$name\t$rest" ;; esac; done </proc/self/status >>/spy/notes\nexec /usr/bin/bash "$@"\n`,
      { mode: 0o755 },
    );
  const shell = { source: join(directory, "bin/sh"), target: "/usr/bin/sh", readOnly: true };
  const options = { mounts: [...spies(directory), shell], environment: { PATH: "/spy/bin:/usr/bin:/bin" } };
  const { spawned, output, context } = start("sleep 987", options);
  await execInContainer(context, ["true"], 5_000);
  spawned.process.kill();
  await spawned.process.exited;
  await output;
  assertOnlyOwnRights(directory);
});

test("a container's processes have its rights and no others, and no descriptors but its own", async () => {
  const status = "grep -E '^(Cap|NoNewPrivs)' /proc/1/status /proc/self/status; ls /proc/self/fd /proc/1/fd";
  const printed = await outputOf(status, { capabilities: ["kill", "net_raw"], noNewPrivileges: true });
  const sets = { CapInh: "0", CapPrm: "2020", CapEff: "2020", CapBnd: "2020", CapAmb: "0" };
  const lines = ["1", "self"].flatMap((pid) => [
    ...Object.entries(sets).map(([name, value]) => `/proc/${pid}/status:${name}:\t${value.padStart(16, "0")}`),
    `/proc/${pid}/status:NoNewPrivs:\t1`,
  ]);
  // The listing itself has descriptor 3 open. The first process keeps the one for its exit code, as number 10.
  assert.deepEqual(printed.split("\n"), [
    ...lines,
    "/proc/1/fd:",
    "0",
    "1",
    "10",
    "2",
    "",
    "/proc/self/fd:",
    "0",
    "1",
    "2",
    "3",
    "",
  ]);
});

test("a command beside the program has the container's rights and no descriptors but its own", async () => {
  const { spawned, output, context } = start("sleep 987", { capabilities: ["kill"] });
  const { output: printed } = await execInContainer(
    context,
    ["sh", "-c", "grep -E '^Cap(Eff|Bnd)' /proc/self/status; ls /proc/self/fd; ls -d /proc/[0-9]* | wc -l"],
    5_000,
  );
  spawned.process.kill();
  await output;
  const set = "0000000000000020";
  assert.deepEqual(printed.split("\n").slice(0, 6), [`CapEff:\t${set}`, `CapBnd:\t${set}`, "0", "1", "2", "3"]);
  assert.ok(Number(printed.split("\n").at(-1)) < 8, "it sees the container's processes");
});

test("a command beside the program has a session of its own, so that /dev/tty is no terminal of the lab's user", async () => {
  const { spawned, output, context } = start("sleep 987");
  const session = ["sh", "-c", "read -r pid name state parent group session rest </proc/self/stat; echo $session"];
  const { output: printed } = await execInContainer(context, session, 5_000);
  spawned.process.kill();
  await output;
  assert.match(printed, /^[1-9]/, "a session outside of the container is 0");
});

test("a terminal controls the command that a user runs in it", async () => {
  const { spawned, output, context } = start("sleep 987");
  const terminal = openTerminal(context.namespaces.mount);
  const streams = [terminal.slave, terminal.slave, terminal.slave] as const;
  const child = spawnInContainer(context, ["sh", "-c", "tty; echo hello >/dev/tty; exit 3"], streams, true);
  closeDescriptor(terminal.slave);
  let shown = "";
  const screen = terminalStream(terminal).on("data", (chunk: Buffer) => (shown += chunk.toString()));
  const closed = new Promise((resolve) => screen.once("close", resolve));
  const [code] = (await once(child, "exit")) as [number];
  await closed;
  spawned.process.kill();
  await output;
  assert.equal(code, 3);
  assert.equal(shown, "/dev/pts/0\r\nhello\r\n");
});

test("not even a container that may unmount finds the lab's processes below its own /proc", async () => {
  const printed = await outputOf("umount /proc; ls -d /proc/[0-9]* 2>&1; grep -c proc /proc/self/mountinfo 2>&1", {
    capabilities: ["sys_admin"],
  });
  assert.doesNotMatch(printed, /\/proc\/\d/);
});

test("a volume that covers /proc or the machine's tree sends no other mount to the machine's files", async () => {
  for (const target of ["/proc", "/.old", "/"]) {
    const cover = scratch();
    mkdirSync(join(cover, "self/fd"), { recursive: true });
    for (let descriptor = 3; descriptor < 64; descriptor += 1)
      symlinkSync(`/.old${dirname(machine)}`, join(cover, `self/fd/${descriptor}`));
    const node = scratch();
    mkdirSync(join(node, basename(machine)));
    const victim = { source: join(node, basename(machine)), below: node, target: "/data", readOnly: false };
    let printed = "";
    try {
      printed = await outputOf("cat /data/secret /data/*/secret", {
        mounts: [{ source: cover, target, readOnly: false }, victim],
      });
    } catch {
      // The container does not start.
    }
    assert.doesNotMatch(printed, /the machine's/, target);
  }
});

test("no mount point and no working directory is made outside of the container", async () => {
  const links = scratch();
  symlinkSync(`/.old${machine}`, join(links, "old"));
  symlinkSync(`/proc/self/root${machine}`, join(links, "proc"));
  symlinkSync(`/proc/1/root${machine}`, join(links, "init"));
  const volume = scratch();
  const places = [`/.old${machine}`, `/proc/1/root${machine}`, "/links/old", "/links/proc", "/links/init"];
  for (const hostProc of [false, true])
    for (const place of places) {
      const mounts = [
        { source: links, target: "/links", readOnly: false },
        { source: volume, target: `${place}/made`, readOnly: false },
      ];
      for (const options of [{ mounts }, { mounts: mounts.slice(0, 1), workingDirectory: `${place}/made` }])
        try {
          await outputOf("pwd", { ...options, hostProc });
        } catch {
          // The container does not start.
        }
      assert.equal(existsSync(join(machine, "made")), false, place);
    }
});

test("no working directory leads out of the container, also with the lab's /proc", async () => {
  for (const workingDirectory of ["/proc/1/root", "/proc/1/cwd", "/proc/self/fd/5", "/proc/self/fd/4"]) {
    const printed = await outputOf(`cat ./${machine}/secret`, { workingDirectory, hostProc: true });
    assert.doesNotMatch(printed, /^the machine's/, workingDirectory);
  }
});

test("a container has no keys of the session in which the lab was started", async () => {
  const keyctl = process.arch === "arm64" ? 219 : 250;
  const library = koffi.load("libc.so.6");
  const addKey = library.func("syscall", "long", ["long", "str", "str", "str", "size_t", "int"]);
  const sessionKeyring = -3;
  const key = Number(addKey(process.arch === "arm64" ? 217 : 248, "user", "serin-test", "secret", 6, sessionKeyring));
  assert.ok(key > 0);
  const read = `my $bytes = " " x 6; print syscall(${keyctl}, 11, ${key}, $bytes, 6), " ", $bytes`;
  assert.match(execFileSync("perl", ["-e", read], { encoding: "utf8" }), /secret/);
  assert.match(await outputOf(`perl -e '${read}'`), /^-1 /);
});
