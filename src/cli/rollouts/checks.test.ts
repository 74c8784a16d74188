import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../api/index.ts";
import { transientError } from "../../base/index.ts";
import { CommandEnd } from "../command-end.ts";
import type { CheckRequest } from "../context.ts";
import { createProgram } from "../index.ts";
import { FakeContext } from "../testing/fake-context.ts";

async function run(
  verdict: "pass" | "fail" | "wait",
  ...args: readonly string[]
): Promise<{ readonly out: string; readonly exitCode: number; readonly request: CheckRequest | undefined }> {
  let request: CheckRequest | undefined;
  const named = (name: string, namespace: string): KubernetesObject => ({ metadata: { name, namespace } });
  const fake = new FakeContext({
    objects: { Service: [named("next", "shop")], Deployment: [named("now", "other")] },
  });
  const context = Object.assign(fake, {
    runCheck: async (_: unknown, checkRequest: CheckRequest) => {
      request = checkRequest;
      return await Promise.resolve({ type: checkRequest.spec.type, verdict, evidence: "3 of 3", statistic: {} });
    },
  });
  let exitCode = 0;
  try {
    await createProgram(context).parseAsync(["check", "run", ...args], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommandEnd)) throw error;
    exitCode = error.exitCode;
  }
  return { out: fake.output, exitCode, request };
}

test("check run prints its verdict, and exits with 0, 1 or 4", async () => {
  const passed = await run("pass", "restarts", "-n", "shop", "--canary", "next", "--stable", "workload:other/now");
  assert.deepEqual([passed.out, passed.exitCode], ["pass: 3 of 3\n", 0]);
  assert.deepEqual(
    [passed.request?.canary, passed.request?.stable, passed.request?.withinMs],
    [{ namespace: "shop", service: "next" }, { namespace: "other", workload: "now" }, 30_000],
  );
  const failed = await run("fail", "restarts", "-n", "shop", "--json");
  assert.deepEqual(
    [JSON.parse(failed.out), failed.exitCode],
    [{ type: "restarts", verdict: "fail", evidence: "3 of 3" }, 1],
  );
  assert.equal((await run("wait", "restarts", "-n", "shop")).exitCode, 4);
});

test("check run refuses a Service or workload that does not exist, because it would never produce a sample", async () => {
  const refused = async (message: string, ...args: readonly string[]): Promise<void> =>
    await assert.rejects(run("pass", "restarts", "-n", "shop", ...args), { code: "not-found", message });
  await refused('--canary: there is no Service "nosuch" in namespace shop', "--canary", "nosuch");
  await refused(
    '--stable: there is no workload "now" in namespace shop',
    "--canary",
    "next",
    "--stable",
    "workload:now",
  );
});

test("check explain describes every type that check types lists, also those that need further fields", async () => {
  const outputOf = async (...args: readonly string[]): Promise<string> => {
    const context = new FakeContext({});
    await createProgram(context).parseAsync(["check", ...args], { from: "user" });
    return context.output;
  };
  for (const line of (await outputOf("types")).trimEnd().split("\n")) {
    const [type = "", ...words] = line.split(/\s+/);
    assert.ok((await outputOf("explain", type)).startsWith(`${words.join(" ")}\n`), line);
  }
  assert.match(await outputOf("explain", "query"), /\nNeeds the field query of a Check: write the Check into a file/);
  await assert.rejects(run("pass", "webhook"), {
    code: "argument-invalid",
    message: "a check of type webhook needs the field webhook beside its type",
  });
});

test("a Check that the API server cannot be asked for is not reported as missing", async () => {
  const refusals = { Check: transientError("unavailable", "get of Check shop/errors: etcd has no leader") };
  const explained = createProgram(new FakeContext({ refusals })).parseAsync([
    "check",
    "explain",
    "errors",
    "-n",
    "shop",
  ]);
  await assert.rejects(explained, {
    kind: "transient",
    code: "unavailable",
    message:
      'no built-in check has the name "errors", and a Check of the cluster cannot be looked up: get of Check shop/errors: etcd has no leader',
  });
  await assert.rejects(createProgram(new FakeContext({})).parseAsync(["check", "explain", "errors", "-n", "shop"]), {
    kind: "user",
    code: "not-found",
  });
});
