import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import type { UntypedObject } from "../../api/index.ts";
import { describeError } from "../../base/index.ts";
import { gatewayApiCommands } from "./gateway-api.ts";
import { FakeContext } from "../testing/fake-context.ts";

const definition = (name: string, version: string, channel = "standard"): UntypedObject => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: {
    name: `${name}.gateway.networking.k8s.io`,
    annotations: {
      "gateway.networking.k8s.io/bundle-version": version,
      "gateway.networking.k8s.io/channel": channel,
    },
  },
});

async function run(live: readonly UntypedObject[], ...args: readonly string[]): Promise<FakeContext> {
  return await runOf("v1.6.0", live, args);
}

async function runOf(
  release: string,
  live: readonly UntypedObject[],
  args: readonly string[] = [],
): Promise<FakeContext> {
  const context = new FakeContext({ objects: { CustomResourceDefinition: live } });
  context.gatewayApi.standard.push(definition("gateways", release), definition("httproutes", release));
  context.gatewayApi.experimental.push(definition("tcproutes", release, "experimental"));
  const program = new Command().exitOverride();
  gatewayApiCommands(program, context);
  await program.parseAsync(["node", "serin", "gateway-api", "install", ...args]);
  return context;
}

test("missing or older definitions are written, and newer ones stay", async () => {
  const { applied, output } = await run([definition("gateways", "v1.10.0"), definition("httproutes", "v1.5.1")]);
  assert.deepEqual(applied, ["CustomResourceDefinition/httproutes.gateway.networking.k8s.io"]);
  assert.equal(
    output,
    "- gateways.gateway.networking.k8s.io stays at v1.10.0, which is newer than v1.6.0\n" +
      "✔ httproutes.gateway.networking.k8s.io v1.5.1 -> v1.6.0\n",
  );
});

test("a release replaces its own prerelease, which does not replace it", async () => {
  const live = [definition("gateways", "v1.6.0-rc.1"), definition("httproutes", "v1.6.0")];
  assert.deepEqual((await runOf("v1.6.0-rc.2", live)).applied, [
    "CustomResourceDefinition/gateways.gateway.networking.k8s.io",
  ]);
});

test("a dry run writes nothing", async () => {
  const { applied, output } = await run([], "--dry-run");
  assert.deepEqual(applied, []);
  assert.match(output, /gateways\.gateway\.networking\.k8s\.io v1\.6\.0 \(dry run\)/);
});

test("the standard channel never replaces the experimental one, which has more fields", async () => {
  await assert.rejects(run([definition("gateways", "v1.6.0", "experimental")]), (error: unknown) => {
    assert.match(describeError(error), /experimental channel of gateways\.gateway\.networking\.k8s\.io/);
    assert.match(describeError(error), /hint: serin gateway-api install --channel experimental/);
    return true;
  });
  const { applied } = await run([definition("gateways", "v1.6.0", "experimental")], "--channel", "experimental");
  assert.deepEqual(applied, ["CustomResourceDefinition/tcproutes.gateway.networking.k8s.io"]);
});
