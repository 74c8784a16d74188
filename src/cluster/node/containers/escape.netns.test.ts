// Tests that nothing that a container controls has an effect on a process that still has more rights than the
// container.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { Socket } from "node:net";
import koffi from "koffi";
import { systemClock } from "../../../base/index.ts";
import { until } from "../../../base/testing/index.ts";
import { requireOwnNetwork } from "../../../net/testing/index.ts";
import { spawnContainer, untilProgramBegan, type SpawnedContainer } from "./container-process.ts";
import type { ContainerMount } from "./container-root.ts";
import { buildTestRoot } from "./testing/test-root.ts";
import type { ExecContext } from "./exec-context.ts";
import { closeDescriptor } from "../libc.ts";
import { execInContainer, openTerminal, spawnInContainer, terminalStream } from "./exec-session.ts";

requireOwnNetwork();

const scratch = (): string => mkdtempSync(join(tmpdir(), "serin-escape-"));
/** A file of the machine that no container may see or touch. */
const machine = scratch();
writeFileSync(join(machine, "secret"), "the machine's");
after(() => rmSync(machine, { recursive: true }));

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

/** Starts a container, and waits until its program has begun. */
async function start(script: string, options: Options = {}): Promise<Started> {
  const { workingDirectory = "/", hostProc = false } = options;
  const mount = buildTestRoot({ mounts: options.mounts ?? [], hostProc, workingDirectory });
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
  await untilProgramBegan(spawned.process, systemClock);
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
  const { spawned, output } = await start(script, options);
  await spawned.process.exited;
  return await output;
}

const spies = (directory: string): ContainerMount[] => [{ source: directory, target: "/spy", readOnly: false }];

/** Returns the output of a container that runs `sleep 0`, and then of a command that is executed in it. */
async function outputWithExec(options: Options): Promise<string> {
  const { spawned, output, context } = await start("sleep 0; echo ready >/spy/ready; kill -STOP $$", options);
  const ready = options.mounts?.find(({ target }) => target === "/spy")?.source ?? "";
  await until(() => existsSync(join(ready, "ready")));
  const { output: beside } = await execInContainer(context, ["true"], 5_000);
  spawned.process.kill();
  return `${await output}${beside}`;
}

test("the loader's variables of a container have an effect in no program but the container's", async () => {
  const directory = scratch();
  await outputWithExec({
    mounts: spies(directory),
    environment: { LD_DEBUG: "files", LD_DEBUG_OUTPUT: "/spy/loaded" },
  });
  const notes = readdirSync(directory).filter((name) => name.startsWith("loaded"));
  const programs = notes.flatMap((name) =>
    [...readFileSync(join(directory, name), "utf8").matchAll(/transferring control: (\S+)/g)].map(
      ([, program]) => program,
    ),
  );
  assert.ok(programs.includes("true"), "the variables have an effect in the command");
  assert.deepEqual(
    programs.filter((program) => !["/bin/sh", "sh", "sleep", "true"].includes(program ?? "")),
    [],
  );
});

test("a library that a volume adds to /etc/ld.so.preload is loaded by no program but the container's", async () => {
  const directory = scratch();
  writeFileSync(join(directory, "preload"), "/spy/none.so\n");
  const preload = { source: join(directory, "preload"), target: "/etc/ld.so.preload", readOnly: true };
  const printed = await outputWithExec({ mounts: [...spies(directory), preload] });
  // Five programs load it: the container's first process, its script, the script's sleep, the shell of the command, and
  // the command itself.
  assert.equal(printed.match(/'\/spy\/none.so' from \/etc\/ld.so.preload/g)?.length, 5, printed);
});

test("programs that the variable PATH or a volume puts before the machine's run with the container's rights alone", async () => {
  const directory = scratch();
  mkdirSync(join(directory, "bin"));
  const names = ["mount", "mkdir", "setpriv", "true"];
  const places = names.map((name) => realpathSync(`/usr/bin/${name}`));
  for (const name of names)
    writeFileSync(
      join(directory, "bin", name),
      "#!/bin/sh\nwhile read -r line; do echo $line; done </proc/self/status >>/spy/notes\n",
      { mode: 0o755 },
    );
  const covers = places.map((target, index) => ({
    source: join(directory, "bin", names[index] ?? ""),
    target,
    readOnly: true,
  }));
  for (const options of [
    { mounts: [...spies(directory), ...covers] },
    { mounts: spies(directory), environment: { PATH: "/spy/bin:/usr/bin:/bin" } },
  ]) {
    writeFileSync(join(directory, "notes"), "");
    rmSync(join(directory, "ready"), { force: true });
    await outputWithExec(options);
    const notes = readFileSync(join(directory, "notes"), "utf8");
    assert.deepEqual(notes.match(/^Cap(Eff|Bnd):.*$/gm), ["CapEff: 0000000000000000", "CapBnd: 0000000000000000"]);
  }
});

test("a container's processes have its rights and no others, and no descriptors but its own", async () => {
  const status = "grep -E '^(Cap|NoNewPrivs)' /proc/1/status /proc/self/status; ls /proc/self/fd /proc/1/fd";
  const printed = await outputOf(status, { capabilities: ["kill", "net_raw"], noNewPrivileges: true });
  const sets = { CapInh: "0", CapPrm: "2020", CapEff: "2020", CapBnd: "2020", CapAmb: "0" };
  const lines = ["1", "self"].flatMap((pid) => [
    ...Object.entries(sets).map(([name, value]) => `/proc/${pid}/status:${name}:\t${value.padStart(16, "0")}`),
    `/proc/${pid}/status:NoNewPrivs:\t1`,
  ]);
  // `ls` itself has descriptor 3 open. The container's first process keeps the descriptor for its exit code as number
  // 10.
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
  const { spawned, output, context } = await start("sleep 987", { capabilities: ["kill"] });
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

test("a command may have more time than a timer of Node can wait, and one without time is killed", async () => {
  const { spawned, output, context } = await start("sleep 987");
  const { exitCode } = await execInContainer(context, ["sleep", "0.5"], 2 ** 31);
  const { exitCode: late } = await execInContainer(context, ["sleep", "987"], 100);
  spawned.process.kill();
  await output;
  assert.deepEqual([exitCode, late], [0, 137]);
});

test("a command beside the program has a session of its own, so that /dev/tty is no terminal of the lab's user", async () => {
  const { spawned, output, context } = await start("sleep 987");
  const session = ["sh", "-c", "read -r pid name state parent group session rest </proc/self/stat; echo $session"];
  const { output: printed } = await execInContainer(context, session, 5_000);
  spawned.process.kill();
  await output;
  assert.match(printed, /^[1-9]/, "a session outside of the container is 0");
});

test("a terminal controls the command that a user runs in it", async () => {
  const { spawned, output, context } = await start("sleep 987");
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
      // The container may refuse to start, which is safe too.
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
          // The container may refuse to start, which is safe too.
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
  const [addKey, keyctl] = process.arch === "arm64" ? [217, 219] : [248, 250];
  const sessionKeyring = -3;
  const packages = dirname(dirname(dirname(process.execPath)));
  const add = koffi.load("libc.so.6").func("syscall", "long", ["long", "str", "str", "str", "size_t", "int"]);
  const key = Number(add(addKey, "user", "serin-test", "secret", 6, sessionKeyring));
  assert.ok(key > 0);
  const read = (modules: string): string => `
    const bytes = Buffer.alloc(6);
    const types = ["long", "int", "long", "void *", "size_t"];
    const length = require("${modules}/koffi").load("libc.so.6").func("syscall", "long", types)(${keyctl}, 11, ${key}, bytes, 6);
    console.log(Number(length), bytes.toString());`;
  assert.equal(execFileSync(process.execPath, ["-e", read(packages)], { encoding: "utf8" }), "6 secret\n");
  const node = process.execPath.replace(packages, "/modules");
  const printed = await outputOf(`${node} -e '${read("/modules")}'`, {
    mounts: [{ source: packages, target: "/modules", readOnly: true }],
  });
  assert.match(printed, /^-1 /);
});
