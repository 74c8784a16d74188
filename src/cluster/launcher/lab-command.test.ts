import assert from "node:assert/strict";
import { test } from "node:test";
import { labCommand } from "./lab-command.ts";

test("the lab's processes start like those of bin/serin, without V8's memory reducer", () => {
  for (const asOtherUser of [false, true]) {
    const { args } = labCommand({
      asOtherUser,
      releaseRoot: "/release",
      stateDirectory: "/state",
      compileCache: "/cache",
      nodeModules: "/release/node_modules",
      nodeProgram: "/release/node_modules/node",
      entry: "main.js",
    });
    const entry = args.findIndex((word) => word.endsWith("/main.js"));
    const node = args.findLastIndex((word, index) => index < entry && word.endsWith("/node"));
    assert.ok(node > 0 && args.slice(node, entry).includes("--no-memory-reducer"), args.join(" "));
  }
});
