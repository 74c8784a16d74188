import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "commander";
import { describeError } from "../base/index.ts";
import { HandClock } from "../base/testing/index.ts";
import { commonFlags } from "./flags.ts";
import { createProgram, completeProgram } from "./program.ts";
import { Progress } from "./terminal/progress.ts";
import { FakeContext } from "./testing/fake-context.ts";
import { verbs } from "./verbs.ts";

async function run(line: string, context: FakeContext = new FakeContext({})): Promise<FakeContext> {
  await createProgram(context)
    .parseAsync(line === "" ? [] : line.split(" "))
    .catch((error: unknown) => {
      // The parser throws after it has printed help or usage.
      if (!(error instanceof Error && "exitCode" in error)) throw error;
    });
  return context;
}

test("every listed verb is registered under its names, and help lists all of them", async () => {
  const program = await completeProgram(new FakeContext());
  assert.deepEqual(
    program.commands.map((command) => command.name()),
    verbs.map(({ name }) => name),
  );
  for (const { name, aliases = [] } of verbs)
    assert.deepEqual(program.commands.find((command) => command.name() === name)?.aliases(), aliases, name);
  const { output } = await run("--help");
  for (const { name } of verbs) assert.match(output, new RegExp(`^  ${name}\\b`, "m"));
  assert.equal((await run("")).output, output);
});

test("every verb accepts the flags of every verb with their letters, and no two of its flags share a letter", async () => {
  const visit = (command: Awaited<ReturnType<typeof completeProgram>>, path: string): void => {
    const shorts = command.options.flatMap(({ short }) => short ?? []);
    assert.equal(new Set(shorts).size, shorts.length, `${path}: ${shorts.join(" ")}`);
    if (command.commands.length === 0 && !["cluster", "release", "doctor"].includes(command.name())) {
      for (const { short, long } of commonFlags) {
        const option = command.options.find((own) => own.long === long.split(" ")[0]);
        assert.ok(option !== undefined, `${path} ${long}`);
        assert.equal(option.short, short, `${path} ${long}`);
      }
    }
    for (const child of command.commands) visit(child, `${path} ${child.name()}`);
  };
  visit(await completeProgram(new FakeContext()), "serin");
});

test("istioctl's variable ISTIOCTL_ISTIONAMESPACE names the control plane's namespace unless a flag does", async () => {
  const lookedIn = async (line: string): Promise<string> => {
    const context = Object.assign(new FakeContext({}), { env: { ISTIOCTL_ISTIONAMESPACE: "mesh" } });
    return await run(line, context).then(
      ({ output, errors }) => (output + errors).replaceAll(/\s+/g, " "),
      (error: unknown) => String(error),
    );
  };
  assert.match(await lookedIn("create-remote-secret --name c0 --dry-run"), /in namespace mesh/);
  assert.match(await lookedIn("create-remote-secret --name c0 --dry-run -i other"), /in namespace other/);
  assert.match(await lookedIn("create-remote-secret --help"), /\(default: mesh, by ISTIOCTL_ISTIONAMESPACE\)/);
});

test("a verb that istioctl had below experimental in an earlier release is found there too, and its own verbs stay", async () => {
  for (const verb of ["create-remote-secret", "remote-clusters", "ztunnel-config workload"])
    assert.equal((await run(`x ${verb} --help`)).output, (await run(`${verb} --help`)).output, verb);
  assert.match((await run("-n shop exp zc all --help")).output, /^Usage: serin ztunnel-config all /);
  assert.match((await run("x proxy-status --help")).output, /^Usage: serin experimental proxy-status/);
  assert.match((await run("x cluster")).errors, /unknown command 'cluster'/);
});

test("help of a verb below another shows that verb's flags", async () => {
  const { output } = await run("help pc cluster");
  assert.match(output, /^Usage: serin proxy-config cluster\|clusters \[options\] \[pod\]/);
  assert.equal((await run("help pc")).output, (await run("pc --help")).output);
});

test("help shows a default once, and the default of a duration with its unit", async () => {
  const visit = (command: Command, path: string): void => {
    for (const { flags, description, defaultValue, defaultValueDescription } of command.options) {
      const value: unknown = defaultValue;
      if (value === undefined || typeof value === "boolean") continue;
      const shown = defaultValueDescription ?? JSON.stringify(value);
      assert.doesNotMatch(description, /\(default/, `${path} ${flags}`);
      if (/<(?:time|duration)>/.test(flags)) assert.match(shown, /^"?\d+(?:s|m|h)"?$/, `${path} ${flags}`);
    }
    for (const child of command.commands) visit(child, `${path} ${child.name()}`);
  };
  visit(await completeProgram(new FakeContext()), "serin");
});

test("--version prints only the release", async () => {
  const context = Object.assign(new FakeContext({}), { version: "1.2.3" });
  assert.equal((await run("--version", context)).output, "1.2.3\n");
});

test("usage shows the name by which the program was called", async () => {
  const context = Object.assign(new FakeContext({}), { programName: "istioctl" });
  assert.match((await run("proxy-config --help", context)).output, /^Usage: istioctl proxy-config\|pc /);
});

test("an unknown verb or flag gets a suggestion", async () => {
  assert.equal(
    (await run("prxy-config")).errors,
    "serin: unknown command 'prxy-config'; did you mean proxy-config?\n  hint: serin --help lists the commands\n",
  );
  assert.equal(
    (await run("pc lisener web")).errors,
    "serin: unknown command 'lisener'; did you mean listener?\n  hint: serin proxy-config --help lists the commands\n",
  );
  assert.equal(
    (await run("waypoint apply --enrol-namespace")).errors,
    "serin: unknown option '--enrol-namespace'; did you mean --enroll-namespace?\n  hint: serin waypoint apply --help shows its arguments, flags and examples\n",
  );
});

test("a misspelled verb is reported also if the line asks for its help", async () => {
  for (const [line, unknown] of [
    ["canry --help", "unknown command 'canry'; did you mean canary?"],
    ["help canry", "unknown command 'canry'; did you mean canary?"],
    ["pc lisener -h", "unknown command 'lisener'; did you mean listener?"],
  ] as const) {
    const { output, errors } = await run(line);
    assert.ok(errors.startsWith(`serin: ${unknown}\n`), errors);
    assert.equal(output, "");
  }
});

test("a verb that stands below experimental, or that istioctl alone has, is refused with what to type instead", async () => {
  for (const line of ["describe pod web.shop", "precheck", "authz check web"])
    await assert.rejects(run(line), { code: "argument-invalid", hint: `serin experimental ${line}` });
  await assert.rejects(createProgram(new FakeContext()).parseAsync(["precheck", "--context", "my cluster"]), {
    hint: "serin experimental precheck --context 'my cluster'",
  });
  assert.match((await run("x workload entry")).errors, /hint: write the files of a virtual machine by hand/);
});

test("canary and upgrade take each other's names of the same order", async () => {
  assert.match((await run("canary approve --help")).output, /^Usage: serin canary promote\|approve /);
  assert.match((await run("canary rollback --help")).output, /^Usage: serin canary undo\|rollback /);
  assert.match((await run("upgrade undo --help")).output, /^Usage: serin upgrade rollback\|undo /);
});

test("a wrong value of a flag is reported before any request to a cluster", async () => {
  const refusal = async (line: string): Promise<string> =>
    await run(line, new FakeContext()).then(
      ({ errors }) => errors,
      (error: unknown) => describeError(error),
    );
  for (const [line, reason] of [
    ["pc routes web -o xx", /--output xx is unknown/],
    ["zc workload -o xx", /--output xx is unknown/],
    ["zc connections --direction up", /--direction up is unknown/],
    ["pc log web --level http:loud", /--level: "http:loud" is not a known level/],
    ["admin log --level ads:loud", /--level: "ads:loud" is not a known level/],
    ["waypoint apply --for web", /--for must be one of all, none, service, workload, got "web"/],
    ["bug-report --duration abc", /--duration: a time must look like 90/],
    ["pc cluster web --port x", /--port: a port must be a number/],
    ["graph --window x", /^--window: expected a number/],
    ["create-remote-secret --name A_B", /--name must be lower-case/],
    ["--name=lab cluster delete", /--name=lab cannot stand before cluster\n  hint: .*serin cluster --help/],
    ["--name lab cluster delete", /unknown command 'lab'\n  hint: .*; flags stand behind the command/],
    ["--bogus", /unknown option '--bogus'/],
    ["pc --bogus -n shop", /unknown option '--bogus'/],
  ] as const)
    assert.match(await refusal(line), reason, line);
});

test("a line without a required word or value says which help has it", async () => {
  const hint = (verb: string): string => `  hint: serin ${verb} --help shows its arguments, flags and examples\n`;
  assert.equal(
    (await run("canary status")).errors,
    `serin: missing required argument 'name'\n${hint("canary status")}`,
  );
  assert.equal(
    (await run("upgrade create")).errors,
    `serin: required option '-f, --filename <file>' not specified\n${hint("upgrade start")}`,
  );
  assert.match((await run("pc rc a b c")).errors, new RegExp(`${hint("proxy-config rootca-compare")}$`));
});

test("a command that is silent for a second shows progress on a terminal, and clears it before output", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "Date"] });
  const terminal = Object.assign(new FakeContext({}), {
    showsProgress: true,
    clock: { ...new FakeContext().clock, nowMs: () => Date.now() },
  });
  const progress = new Progress(terminal, "waypoint");
  const shown = progress.start();
  t.mock.timers.tick(900);
  assert.equal(terminal.errors, "");
  t.mock.timers.tick(300);
  assert.ok(terminal.errors.startsWith("\r\u001b[K") && terminal.errors.endsWith(" waypoint, 1 s"), terminal.errors);
  shown.out("done\n");
  assert.ok(terminal.errors.endsWith("\r\u001b[K"));
  assert.equal(terminal.output, "done\n");
  progress[Symbol.dispose]();
});

test("a terminal shows the latest wait that has not ended, on one line", (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "Date"] });
  const terminal = Object.assign(new FakeContext({}), {
    showsProgress: true,
    columns: () => 40,
    clock: { ...new FakeContext().clock, nowMs: () => Date.now() },
  });
  using progress = new Progress(terminal, "install");
  const { waiting } = progress.start();
  const line = (): string => {
    terminal.errors = "";
    t.mock.timers.tick(1_000);
    return terminal.errors.split("\r\u001b[K").at(-1)?.slice(2) ?? "";
  };
  waiting("", "writing 5 objects");
  assert.equal(line(), "writing 5 objects, 1 s");
  waiting("Deployment istio-system/istiod", "0 of 1 replicas are available;\n  pod istiod-1");
  waiting("DaemonSet a/b", "0 of 3 nodes");
  assert.equal(line(), "DaemonSet a/b: 0 of 3 nodes, 2 s");
  waiting("DaemonSet a/b", undefined);
  const cut = line();
  assert.equal(cut, "Deployment istio-system/istiod:…, 3 s");
  assert.ok(cut.length + 2 <= 40, cut);
});

test("without a terminal, and in a verb that lasts, each wait of more than three seconds is a line, and so are its changes", () => {
  for (const lasts of [false, true]) {
    const clock = new HandClock();
    const context = Object.assign(new FakeContext({}), { showsProgress: lasts, clock });
    const progress = new Progress(context, "install");
    const { waiting } = progress.start({ lasts });
    const linesAfter = (ms: number): readonly string[] => {
      clock.pass(ms);
      const lines = context.errors.split("\n").slice(0, -1);
      context.errors = "";
      return lines;
    };
    waiting("", "writing 5 objects");
    assert.deepEqual(linesAfter(1_000), []);
    waiting("", "waiting until the components are ready");
    waiting("DaemonSet a/b", "0 of 3 nodes");
    assert.deepEqual(linesAfter(2_000), ["  waiting until the components are ready"]);
    waiting("DaemonSet a/b", "1 of 3 nodes");
    assert.deepEqual(linesAfter(1_000), ["  DaemonSet a/b: 1 of 3 nodes"]);
    waiting("DaemonSet a/b", "1 of 3 nodes");
    assert.deepEqual(linesAfter(10_000), []);
    waiting("DaemonSet a/b", "2 of 3 nodes");
    waiting("DaemonSet a/b", "0 of 3 nodes");
    assert.deepEqual(linesAfter(3_000), ["  DaemonSet a/b: 0 of 3 nodes"]);
    waiting("DaemonSet a/b", "2 of 3 nodes");
    waiting("DaemonSet a/b", undefined);
    waiting("Deployment a/c", "0 of 1 pods");
    progress[Symbol.dispose]();
    assert.deepEqual(linesAfter(10_000), []);
    assert.equal(clock.timers, 0);
  }
});

test("the help fits a terminal of 80 columns", async () => {
  const helpOf = (command: Command): string[] => [command.helpInformation(), ...command.commands.flatMap(helpOf)];
  const lines = helpOf(await completeProgram(new FakeContext())).flatMap((text) => text.split("\n"));
  assert.deepEqual(
    lines.filter((line) => line.length > 80 && !line.startsWith("Usage: ")),
    [],
  );
});

test("no help shows an empty default", async () => {
  const helpOf = (command: Command): string[] => [command.helpInformation(), ...command.commands.flatMap(helpOf)];
  const texts = helpOf(await completeProgram(new FakeContext()));
  assert.ok(texts.length > 100, `${texts.length} commands`);
  assert.deepEqual(
    texts.filter((text) => /default:\s+(\[|"")/.test(text)),
    [],
  );
});
