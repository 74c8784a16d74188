import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { typeUrls } from "../../wire/xds/index.ts";
import { Action, AuthorizationSchema, Scope } from "../../wire/workload/index.ts";
import { readAuthorizations } from "./read-update.ts";

function update(...policies: readonly (readonly [name: string, changes: object])[]) {
  const resources = policies.map(([name, changes]) => {
    const policy = create(AuthorizationSchema, { name, namespace: "shop", scope: Scope.NAMESPACE });
    const body = toBinary(AuthorizationSchema, Object.assign(policy, changes));
    return { name: `shop/${name}`, version: "1", aliases: [], typeUrl: typeUrls.authorization, body };
  });
  return readAuthorizations({ typeUrl: typeUrls.authorization, resources, removed: [] });
}

test("a policy with an unknown action or scope is refused, and the others of its update count", () => {
  const { change, refuseUnreadable } = update(
    ["deny", { action: Action.DENY }],
    ["audit", { action: 7 }],
    ["node", { scope: 9 }],
  );
  assert.deepEqual(
    change.policies.map(({ name, scope, action }) => [name, scope, action]),
    [["deny", "Namespace", "Deny"]],
  );
  assert.throws(refuseUnreadable, /shop\/audit: .*unknown action 7; shop\/node: .*unknown scope 9/);
});
