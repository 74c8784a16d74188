import assert from "node:assert/strict";
import { test } from "node:test";
import type { Authorizer } from "../auth/index.ts";
import { MatchConditions } from "./match-conditions.ts";

const authorizer = {
  authorize: (user: { name: string }, { verb }: { verb: string }) => ({ allowed: verb === "get", reason: user.name }),
} as unknown as Authorizer;
const hold = (items: number, ...expressions: readonly string[]): Promise<boolean> =>
  new Promise((resolve) => {
    const webhook = {
      name: "a.b.c",
      matchConditions: expressions.map((expression, index) => ({ name: `c${index}`, expression })),
    };
    const request = { object: { l: Array.from({ length: items }, (_, index) => index) } };
    const type = { group: "", plural: "pods" };
    const user = { name: "eve", groups: [] };
    resolve(
      new MatchConditions(authorizer).hold(webhook as never, { ...request, type, user } as never, {
        operation: "CREATE",
      }),
    );
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

test("conditions have the functions of Kubernetes, whole numbers, and the rights of the user", async () => {
  assert.equal(await hold(3, "object.l[2] % 2 == 0 && type(object.l[2]) == int"), true);
  assert.equal(
    await hold(1, "'a-b'.split('-').size() == 2 && 'x12'.find('[0-9]+') == '12' && 'AB'.lowerAscii() == 'ab'"),
    true,
  );
  assert.equal(await hold(1, "quantity('1Gi').isGreaterThan(quantity('1Mi')) && [1, 2].isSorted()"), true);
  assert.equal(
    await hold(1, "authorizer.group('apps').resource('deployments').namespace('a').check('get').allowed()"),
    true,
  );
  assert.equal(await hold(1, "authorizer.requestResource.check('delete').allowed()"), false);
  assert.equal(await hold(1, "authorizer.path('/healthz').check('get').reason() == 'eve'"), true);
  const account = "authorizer.serviceAccount('a', 'b').requestResource.check('get')";
  await assert.rejects(hold(1, account), /did not return a boolean/);
  const other = "authorizer.serviceAccount('a', 'b').group('').resource('pods').check('get')";
  assert.equal(await hold(1, `${other}.reason() == 'system:serviceaccount:a:b'`), true);
});
