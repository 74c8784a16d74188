// Sends the same requests to Kubernetes' own API server and to the lab's. Compares status, type, warnings and whole
// bodies.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { kubectls } from "../../support/kubectls.ts";
import { root } from "../../support/lab-cluster.ts";
import { startComparedServers, type ComparedServer, type ComparedServers } from "./compared-servers.ts";
import { commands, type Command } from "./corpus/commands.ts";
import { corpus } from "./corpus/index.ts";
import { perform, type Exchange, type Json } from "./exchange.ts";
import { explain, explanations, type Explanation } from "./explained-differences.ts";
import { differencesOf, normalAnswer, normalText, type Difference } from "./normal-form.ts";

interface Finding {
  readonly title: string;
  readonly difference: Difference;
}

/** A server's answers so far, for requests that build on them. */
type Memory = Map<string, Json>;

const shownCharacters = 300;

void describe("the lab's API server compared with Kubernetes' own", () => {
  let servers: ComparedServers;
  const used = new Set<Explanation>();
  const memories: { readonly kubernetes: Memory; readonly serin: Memory } = { kubernetes: new Map(), serin: new Map() };
  before(async () => {
    servers = await startComparedServers();
  });
  after(async () => await servers.stop());

  for (const [part, exchanges] of Object.entries(corpus)) {
    void test(`${part}: ${exchanges.length} requests get the same answers, except for explained differences`, async () => {
      const findings: Finding[] = [];
      for (const exchange of exchanges)
        for (const difference of await compared(servers, memories, exchange))
          findings.push({ title: exchange.title, difference });
      refuse(unexplained(findings, used));
    });
  }

  void test(`kubectl: ${commands.length} commands print the same`, async () => {
    const findings: Finding[] = [];
    for (const command of commands) {
      const [kubernetes, serin] = await Promise.all([
        kubectl(servers.kubernetes, command),
        kubectl(servers.serin, command),
      ]);
      for (const difference of differencesOf(kubernetes, serin))
        findings.push({ title: `kubectl ${command.arguments}`, difference });
    }
    refuse(unexplained(findings, used));
  });

  void test("every explanation is used", () => {
    const idle = explanations.filter((explanation) => !used.has(explanation)).map(({ why }) => why);
    assert.deepEqual(idle, []);
  });

  void test("docs/interop.md lists every explanation", () => {
    const documentation = readFileSync(join(root, "docs/interop.md"), "utf8");
    const missing = explanations.map(({ why }) => why).filter((why) => !documentation.includes(`- ${why}\n`));
    assert.deepEqual(missing, []);
  });
});

async function compared(
  { kubernetes, serin }: ComparedServers,
  memories: { readonly kubernetes: Memory; readonly serin: Memory },
  exchange: Exchange,
): Promise<Difference[]> {
  const sendExchange = async (server: ComparedServer, memory: Memory): Promise<Json> => {
    assert.ok(!memory.has(exchange.title), `"${exchange.title}" is there twice`);
    const answer = await perform(server.access, exchange, (title) => memory.get(title));
    memory.set(exchange.title, answer.body);
    return normalAnswer(answer);
  };
  const [theirs, ours] = await Promise.all([
    sendExchange(kubernetes, memories.kubernetes),
    sendExchange(serin, memories.serin),
  ]);
  return differencesOf(theirs, ours);
}

async function kubectl({ kubeconfig }: ComparedServer, { arguments: words, input = "" }: Command): Promise<Json> {
  const [program] = kubectls().slice(-1);
  assert.ok(program?.file !== undefined, "there is no kubectl: scripts/fetch/kubectls.sh brings it");
  // In an argument, an underscore stands for a space.
  const args = words.split(" ").map((word) => (word.includes("--schedule") ? word.replaceAll("_", " ") : word));
  const child = spawn(program.file, ["--kubeconfig", kubeconfig, "--cache-dir", `${kubeconfig}.cache`, ...args], {
    env: { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (chunk: string) => (text[name] += chunk));
  child.stdin.end(input);
  const status = await new Promise((resolve) => child.once("close", resolve));
  return { status, stdout: printed(text.stdout), stderr: printed(text.stderr) };
}

/**
 * The lines that a command has printed, without what differs between any two servers: ages, versions, file names and
 * column widths.
 */
function printed(text: string): string[] {
  return normalText(text)
    .replace(/resourceVersion: "\d+"/g, 'resourceVersion: "<version>"')
    .replace(/\/tmp\/(LIVE|MERGED)-\d+/g, "/tmp/$1")
    .split("\n")
    .filter((line) => !/^(---|\+\+\+|diff) /.test(line))
    .map((line) =>
      line
        .replace(/(?<=\s)(\d+[smhd])+(?=\s|$)/g, "<age>")
        .replace(/ +/g, " ")
        .trimEnd(),
    );
}

function unexplained(findings: readonly Finding[], used: Set<Explanation>): Finding[] {
  return findings.filter(({ title, difference }) => {
    const explanation = explain(title, difference);
    if (explanation !== undefined) used.add(explanation);
    return explanation === undefined;
  });
}

function refuse(findings: readonly Finding[]): void {
  const lines = findings.map(({ title, difference: { path, kubernetes, serin } }) => {
    const [theirs, ours] = [kubernetes, serin].map((value) => JSON.stringify(value) ?? "nothing") as [string, string];
    const start = Math.max(0, commonLength(theirs, ours) - shownCharacters / 3);
    const shown = (text: string): string => `${start === 0 ? "" : "…"}${text.slice(start, start + shownCharacters)}`;
    return `${title}: ${path}\n  Kubernetes: ${shown(theirs)}\n  the lab:    ${shown(ours)}`;
  });
  assert.equal(lines.join("\n"), "", `${findings.length} differences that nothing explains`);
}

function commonLength(left: string, right: string): number {
  let length = 0;
  while (length < left.length && left[length] === right[length]) length += 1;
  return length;
}
