import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { askPilot } from "./pilot-answers.ts";
import { PilotTokens } from "./pilot-tokens.ts";

const pilot = { namespace: "istio-system", serviceAccount: "istiod-1-1-0", address: "127.0.0.1" };
const debugPort = 8080;

test("a reinstalled control plane is asked with a token of its new account", async (context) => {
  let accepted = "first";
  const server = createServer(({ headers }, response) => {
    response.statusCode = headers.authorization === `Bearer ${accepted}` ? 200 : 401;
    response.end("roots");
  }).listen(debugPort, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  let asked = 0;
  const client = {
    raw: async () => {
      asked += 1;
      return { status: 201, headers: {}, text: JSON.stringify({ status: { token: accepted } }) };
    },
  } as unknown as KubeClient;
  const view = { pilotTokens: new PilotTokens(client, systemClock) };
  assert.equal(await askPilot(view, pilot, "/debug/serin/roots"), "roots");
  assert.equal(await askPilot(view, pilot, "/debug/serin/roots"), "roots");
  assert.equal(asked, 1);
  accepted = "second";
  assert.equal(await askPilot(view, pilot, "/debug/serin/roots"), "roots");
  assert.equal(asked, 2);
  assert.equal(await askPilot(view, pilot, "/debug/serin/roots"), "roots");
  assert.equal(asked, 2);
});
