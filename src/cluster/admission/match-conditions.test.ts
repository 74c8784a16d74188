import assert from "node:assert/strict";
import { test } from "node:test";
import { MatchConditions } from "./match-conditions.ts";

const hold = (items: number, ...expressions: readonly string[]): Promise<boolean> =>
  new Promise((resolve) => {
    const webhook = {
      name: "a.b.c",
      matchConditions: expressions.map((expression, index) => ({ name: `c${index}`, expression })),
    };
    const request = { object: { l: Array.from({ length: items }, (_, index) => index) } };
    resolve(new MatchConditions().hold(webhook as never, request as never, { operation: "CREATE" }));
  });
const square = "object.l.all(x, object.l.exists(y, y == x))";

test("a condition may cost only what Kubernetes allows, whatever object is sent", async () => {
  assert.equal(await hold(50, square, "request.operation == 'CREATE'"), true);
  await assert.rejects(hold(2000, square), /"c0" of webhook "a\.b\.c".*actual cost limit exceeded/);
  await assert.rejects(hold(2000, `${square} || true`), /actual cost limit exceeded/);
});

test("all conditions of a webhook share a budget", async () => {
  const many = Array.from({ length: 8 }, (_, index) => `${square} && ${index} >= 0`);
  await assert.rejects(hold(400, ...many), /"c\d" of webhook "a\.b\.c": .*running out of cost budget/);
});
