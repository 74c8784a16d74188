import assert from "node:assert/strict";
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createLogger, silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { SeqpacketServer, type SeqpacketConnection } from "../../net/index.ts";
import { decodeZdsResponse, encodeZdsRequest } from "../../wire/zds/index.ts";
import type { ServedPods } from "../proxy/served-pods.ts";
import { ZdsClient } from "./zds-client.ts";

interface Setup {
  readonly pods: ServedPods;
  /** Called with each agent's connection when the client has said hello, and with the agent's number from 0. */
  readonly onHello: (agent: SeqpacketConnection, number: number) => void;
}

/** Starts a client, and agents to which it connects one after another. Returns the errors in the client's answers. */
function startClient(context: TestContext, { pods, onHello }: Setup): readonly string[] {
  const directory = mkdtempSync(join(tmpdir(), "serin-zds-"));
  const stop = new AbortController();
  const agents: SeqpacketConnection[] = [];
  const answers: string[] = [];
  const server = SeqpacketServer.listen(join(directory, "zds.sock"), (agent) => {
    const number = agents.push(agent) - 1;
    let hasHello = false;
    agent.start({
      message: ({ bytes }) => {
        if (hasHello) answers.push(decodeZdsResponse(bytes).error);
        else onHello(agent, number);
        hasHello = true;
      },
      close: () => undefined,
    });
  });
  const client = new ZdsClient({
    path: server.path,
    revision: "",
    pods,
    prepare: () => Promise.reject(new Error("no pod is handed over")),
    log: silentLogger,
    clock: systemClock,
    random: () => 0,
    onSynced: () => undefined,
  });
  const running = client.run(stop.signal);
  context.after(async () => {
    stop.abort();
    await running;
    server.close();
    for (const agent of agents) agent.close();
    rmSync(directory, { recursive: true });
  });
  return answers;
}

test("a client whose agent ends before it reads an answer connects to the next agent, and answers that one", async (context) => {
  let first: SeqpacketConnection | undefined;
  const answers = startClient(context, {
    pods: {
      descriptors: (uid) => {
        if (uid === "first") first?.close();
        return undefined;
      },
      uids: () => [],
      add: () => Promise.resolve(),
      remove: () => undefined,
    },
    onHello: (agent, number) => {
      first ??= agent;
      const uid = number === 0 ? "first" : "second";
      agent.send(encodeZdsRequest({ type: "keep", uid, returnListeners: false }));
    },
  });
  await until(() => answers.length > 0);
  assert.deepEqual(answers, ["this ztunnel does not know the workload second"]);
});

test("a client looks for an absent agent at least once a second, and warns once a minute", async () => {
  const stop = new AbortController();
  const pauses: number[] = [];
  const warnings: string[] = [];
  const clock = {
    ...systemClock,
    sleep: (ms: number) => {
      pauses.push(ms);
      if (pauses.length === 100) stop.abort();
      return Promise.resolve();
    },
  };
  const client = new ZdsClient({
    path: "/nonexistent/zds.sock",
    revision: "",
    pods: { descriptors: () => undefined, uids: () => [], add: () => Promise.resolve(), remove: () => undefined },
    prepare: () => Promise.reject(new Error("no pod is handed over")),
    log: createLogger({ scope: "test", level: "warn", write: (line) => void warnings.push(line) }),
    clock,
    random: () => 1,
    onSynced: () => undefined,
  });
  await client.run(stop.signal);
  assert.equal(Math.max(...pauses), 1_000);
  assert.equal(warnings.length, 2);
});

test("a pod that is added with another namespace is served there, and one that is added again stays", async (context) => {
  // Any files will do, because they have inodes as namespaces do.
  const [before, now] = [openSync("/proc/self/status", "r"), openSync("/proc/self/stat", "r")];
  context.after(() => {
    for (const fd of [before, now]) closeSync(fd);
  });
  const events: string[] = [];
  let namespaceFd: number | undefined;
  context.after(() => {
    if (namespaceFd !== undefined) closeSync(namespaceFd);
  });
  const answers = startClient(context, {
    pods: {
      descriptors: () => (namespaceFd === undefined ? undefined : { namespaceFd, listeners: [] }),
      uids: () => [],
      add: (pod) => {
        namespaceFd = pod.namespaceFd ?? assert.fail();
        events.push(`add ${fstatSync(namespaceFd).ino === fstatSync(now).ino ? "now" : "before"}`);
        return Promise.resolve();
      },
      remove: (uid, handedOver) => {
        events.push(`remove ${uid} ${handedOver}`);
        if (namespaceFd !== undefined) closeSync(namespaceFd);
        namespaceFd = undefined;
      },
    },
    onHello: (agent) => {
      const workload = { name: "web", namespace: "shop", serviceAccount: "web" };
      const add = encodeZdsRequest({ type: "add", uid: "u", workload, listeners: [], handedOver: false });
      for (const fd of [before, before, now]) agent.send(add, [fd]);
    },
  });
  await until(() => answers.length === 3);
  assert.deepEqual(answers, ["", "", ""]);
  assert.deepEqual(events, ["add before", "remove u false", "add now"]);
});
