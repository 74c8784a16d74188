import assert from "node:assert/strict";
import { test } from "node:test";
import { describeError, messageOf, userError } from "./errors.ts";

test("an error is described by its message, the causes that no line before quotes, and its hint", () => {
  const refused = new Error("connect ECONNREFUSED 127.0.0.1:1");
  const described = (message: string, cause: Error): string =>
    describeError(userError("forbidden", message, { cause, hint: "try again" }));
  assert.equal(
    described("the page is away", refused),
    "the page is away\n  caused by: connect ECONNREFUSED 127.0.0.1:1\n  hint: try again",
  );
  assert.equal(
    described("the page is away: connect ECONNREFUSED 127.0.0.1:1", refused),
    "the page is away: connect ECONNREFUSED 127.0.0.1:1\n  hint: try again",
  );
  assert.equal(
    described("the page is away", new Error(refused.message, { cause: refused })),
    "the page is away\n  caused by: connect ECONNREFUSED 127.0.0.1:1\n  hint: try again",
  );
});

test("an error without a text, such as that of a name with several addresses, is described by its code or its kind", () => {
  const ofAddresses = Object.assign(new AggregateError([new Error("connect ECONNREFUSED ::1:1")]), {
    code: "ECONNREFUSED",
  });
  assert.equal(messageOf(ofAddresses), "ECONNREFUSED");
  assert.equal(messageOf(new TypeError()), "TypeError");
});
