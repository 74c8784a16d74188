import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, transientError } from "../../base/index.ts";
import { answerPluginCall, parsePluginCall, type PluginHandler, type PodAttachment } from "./plugin-call.ts";

const log = createLogger({ scope: "test", write: () => undefined });
const pod = { K8S_POD_NAME: "web", K8S_POD_NAMESPACE: "shop", K8S_POD_UID: "u1" };
const variables = {
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/var/run/netns/cni-1",
  CNI_IFNAME: "eth0",
  CNI_ARGS: `IgnoreUnknown=1;${Object.entries(pod)
    .map((pair) => pair.join("="))
    .join(";")}`,
};

interface Run {
  readonly exitCode: number;
  readonly output: unknown;
  readonly calls: readonly (readonly [string, PodAttachment?])[];
}

async function run(
  command: string,
  input: unknown,
  options: { readonly variables?: Readonly<Record<string, string>>; readonly fails?: Error } = {},
): Promise<Run> {
  const calls: [string, PodAttachment?][] = [];
  const note = (name: string, attachment?: PodAttachment): Promise<void> => {
    calls.push(attachment === undefined ? [name] : [name, attachment]);
    return options.fails === undefined ? Promise.resolve() : Promise.reject(options.fails);
  };
  const handler: PluginHandler = {
    add: (attachment) => note("add", attachment),
    check: (attachment) => note("check", attachment),
    delete: (attachment) => note("delete", attachment),
    status: () => note("status"),
    collect: () => note("collect"),
  };
  const environment = Object.entries({ CNI_COMMAND: command, ...(options.variables ?? variables) });
  const text = typeof input === "string" ? input : JSON.stringify(input);
  const bytes = Buffer.from(`${environment.map((pair) => `${pair.join("=")}\0`).join("")}\0${text}`);
  const { exitCode, output } = await answerPluginCall(parsePluginCall(bytes), handler, log);
  return { exitCode, output: output === "" ? undefined : JSON.parse(output), calls };
}

function failure(result: Run): { readonly code: unknown; readonly msg: unknown } {
  assert.equal(result.exitCode, 1);
  const { code, msg, details } = result.output as Record<string, unknown>;
  assert.equal(typeof details, "string");
  return { code, msg };
}

test("ADD reports the pod and passes the result through, in every version with chains", async () => {
  for (const cniVersion of ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
    const prevResult = { cniVersion, ips: [{ address: "10.0.0.5/24" }, { address: "fd00::5/64" }], custom: [1] };
    const result = await run("ADD", { cniVersion, name: "n", type: "serin-cni", prevResult });
    assert.deepEqual(result, {
      exitCode: 0,
      output: prevResult,
      calls: [
        [
          "add",
          {
            containerId: "c1",
            netnsPath: "/var/run/netns/cni-1",
            podName: "web",
            podNamespace: "shop",
            podUid: "u1",
            addresses: ["10.0.0.5", "fd00::5"],
          },
        ],
      ],
    });
  }
  const alone = await run("ADD", { cniVersion: "1.0.0", name: "n", type: "serin-cni" });
  assert.deepEqual(alone.output, { cniVersion: "1.0.0" });
});

test("a container without a pod passes", async () => {
  const { CNI_ARGS: _pod, ...others } = variables;
  const result = await run("ADD", { cniVersion: "1.0.0" }, { variables: others });
  assert.deepEqual(result, { exitCode: 0, output: { cniVersion: "1.0.0" }, calls: [] });
});

test("a failed ADD states the reason, and whether to retry", async () => {
  const input = { cniVersion: "1.0.0" };
  const later = await run("ADD", input, { fails: transientError("no-ztunnel", "no ztunnel is connected") });
  assert.deepEqual(failure(later), { code: 11, msg: "no ztunnel is connected" });
  const never = await run("ADD", input, { fails: new Error("broken") });
  assert.deepEqual(failure(never), { code: 100, msg: "broken" });
});

test("DEL succeeds despite any failure, and needs no namespace", async () => {
  const { CNI_NETNS: _gone, ...rest } = variables;
  const result = await run("DEL", { cniVersion: "1.0.0" }, { variables: rest, fails: new Error("broken") });
  assert.equal(result.exitCode, 0);
  assert.equal(result.output, undefined);
  assert.equal(result.calls[0]?.[1]?.containerId, "c1");
});

test("CHECK needs the result of ADD, STATUS reports whether pods can start, and GC has no output", async () => {
  assert.equal(failure(await run("CHECK", { cniVersion: "1.0.0" })).code, 7);
  assert.equal((await run("CHECK", { cniVersion: "1.0.0", prevResult: {} })).exitCode, 0);
  assert.deepEqual(failure(await run("STATUS", { cniVersion: "1.1.0" }, { fails: new Error("starting") })), {
    code: 50,
    msg: "starting",
  });
  const collected = await run("GC", { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] }, { variables: {} });
  assert.deepEqual(collected, { exitCode: 0, output: undefined, calls: [["collect"]] });
});

test("VERSION lists the supported versions", async () => {
  const { output } = await run("VERSION", { cniVersion: "0.4.0" }, { variables: {} });
  assert.deepEqual(output, { cniVersion: "0.4.0", supportedVersions: ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] });
});

test("invalid input is refused with the specification's codes and the field's name", async () => {
  assert.deepEqual(failure(await run("ADD", "{")).code, 6);
  assert.deepEqual(failure(await run("ADD", [])).code, 6);
  assert.deepEqual(failure(await run("ADD", { cniVersion: "0.2.0" })), {
    code: 1,
    msg: 'cniVersion "0.2.0" is not supported',
  });
  assert.deepEqual(failure(await run("ADD", { cniVersion: "1.0.0" }, { variables: { CNI_IFNAME: "eth0" } })), {
    code: 4,
    msg: "CNI_CONTAINERID, CNI_NETNS must be set",
  });
  assert.deepEqual(failure(await run("MOVE", { cniVersion: "1.0.0" })), { code: 4, msg: 'CNI_COMMAND is "MOVE"' });
});
