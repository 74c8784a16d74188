import assert from "node:assert/strict";
import { test } from "node:test";
import { sharesOfAnswers } from "./shares-of-answers.ts";

test("the most frequent status comes first, with its share of all responses", () => {
  assert.deepEqual(sharesOfAnswers({ "404": 1, "200": 3 }), [
    { code: "200", rate: 3, share: 0.75, tone: "good" },
    { code: "404", rate: 1, share: 0.25, tone: "warn" },
  ]);
});

test("server errors, missing responses and answers of a proxy are bad", () => {
  const tones = Object.fromEntries(
    sharesOfAnswers({ "500": 1, "0": 1, "404 NR": 1, "301": 1 }).map(({ code, tone }) => [code, tone]),
  );
  assert.deepEqual(tones, { "500": "bad", "0": "bad", "404 NR": "bad", "301": "good" });
});

test("statuses whose rates are all zero have no share", () => {
  assert.deepEqual(
    sharesOfAnswers({ "200": 0 }).map(({ share }) => share),
    [0],
  );
});
