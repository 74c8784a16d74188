import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import type { RolloutStatus } from "../../api/serin/index.ts";
import { renderHistory } from "./history.ts";
import { durationText } from "./ladder-hint.ts";
import { renderLadder } from "./ladder.ts";
import { judgingStatus as status } from "./testing/judging-status.ts";

const escape = "\u001b[";

test("the ladder shows completed steps, the current one with its checks, and coming ones", () => {
  assert.equal(
    renderLadder("Canary shop/shop", status, { colour: false, verbose: false }),
    [
      "Canary shop/shop: Judging 1/3  canary 10 %  (run 2)",
      "  ✔ requests with traffic: test  3 min 12 s",
      "  ▸ weight 90/10",
      "      … request-success-rate: 20 answers",
      "  ○ weight 0/100",
      "",
    ].join("\n"),
  );
});

test("the ladder's last line shows since when it waits, until when, and the next command", () => {
  const since = "2026-01-31T12:03:12.345Z";
  const until = "2026-01-31T12:08:12.345Z";
  const last = (more: Partial<RolloutStatus>, title = "Canary shop/web"): string =>
    renderLadder(title, { ...status, plannedSteps: [], phaseSince: since, ...more }, { colour: false, verbose: false })
      .trimEnd()
      .split("\n")
      .at(-1)
      ?.trim() ?? "";
  const settling = {
    id: "step-2",
    title: "weight 90/10",
    startedAt: since,
    checks: [],
    waitingFor: ["Deployment web: 1 of 3 ready"],
    waitingSince: since,
    waitsUntil: until,
  };
  assert.deepEqual(
    [
      last({ phase: "Settling", step: settling }),
      last({ phase: "Soaking", step: { ...settling, waitingFor: [] } }),
      last({ phase: "Soaking", step: { ...settling, waitingFor: [] } }, "MeshUpgrade up"),
      last({ phase: "Paused", pauseReason: "approval", message: "weight 90/10: a text" }),
      last({ phase: "Paused", pauseReason: "approval", message: "a text", step: { ...settling, id: "wave/the rest" } }),
      last({ phase: "Paused", pauseReason: "order", message: "approve: a text" }, "MeshUpgrade up"),
      last({ phase: "Paused", message: "weight 90/10: waits for approval" }),
      last({ phase: "Waiting", pauseReason: "freeze", pausedBy: "holidays", message: "a text" }),
      last({ phase: "Waiting", pauseReason: "freeze", message: "waits: the freezes are not known yet" }),
      last({ phase: "Waiting", message: `waits: freeze holidays until ${until} (quiet)` }),
      last({ phase: "Waiting", message: "waits: Canary a/b has reserved namespace shop" }),
      last({ phase: "Waiting", pauseReason: "group-failed", message: "group a: change Canary a/b" }),
      last({ phase: "Stuck", message: "x" }),
      last({ phase: "Judging" }),
      last({ phase: "Judging", step: { ...settling, waitingFor: [] } }),
    ],
    [
      "since 2026-01-31T12:03:12Z; it fails at 2026-01-31T12:08:12Z unless it makes progress",
      "since 2026-01-31T12:03:12Z, until 2026-01-31T12:08:12Z",
      "since 2026-01-31T12:03:12Z, until 2026-01-31T12:08:12Z; end it: serin upgrade complete up",
      "since 2026-01-31T12:03:12Z: let it continue: serin canary promote web -n shop --step step-2",
      "since 2026-01-31T12:03:12Z: let it continue: serin canary promote web -n shop --step 'wave/the rest'",
      "since 2026-01-31T12:03:12Z: let it continue: serin upgrade resume up",
      "since 2026-01-31T12:03:12Z",
      "since 2026-01-31T12:03:12Z; it continues by itself, or: serin freeze except holidays --canary shop/web --reason WHY",
      "since 2026-01-31T12:03:12Z; it continues by itself",
      "since 2026-01-31T12:03:12Z; it continues by itself",
      "since 2026-01-31T12:03:12Z; it continues by itself",
      "since 2026-01-31T12:03:12Z",
      "since 2026-01-31T12:03:12Z: repair it, or undo it: serin canary abort web -n shop",
      "since 2026-01-31T12:03:12Z",
      "since 2026-01-31T12:03:12Z; without a new sample it is Stuck at 2026-01-31T12:08:12Z",
    ],
  );
});

test("the ladder shows what a person must do although the message begins with a check that is shown already", () => {
  const todo = "rollback is Manual, so a person decides: approve the step: serin canary promote shop -n shop";
  const stuck = (message: string): string =>
    renderLadder("Canary shop/shop", { ...status, phase: "Stuck", message }, { colour: false, verbose: false });
  const evidence = "request-success-rate: 20 answers";
  const lines = stuck(`weight 90/10: ${evidence}; ${todo}`).split("\n");
  assert.equal(lines.filter((line) => line.includes(evidence)).length, 1, "the evidence is shown once");
  assert.ok(lines.includes(`      ${todo}`), lines.join("\n"));
  assert.equal(stuck(`weight 90/10: ${evidence}`).split(evidence).length, 2);
});

test("the ladder shows the command that lets a rollout go on once", () => {
  const command = "serin canary promote shop -n shop --step step-2";
  const message = `weight 90/10: waits for approval: ${command}`;
  const text = renderLadder(
    "Canary shop/shop",
    { ...status, phase: "Paused", pauseReason: "approval", message },
    { colour: false, verbose: false },
  );
  assert.equal(text.split(command).length, 2, text);
  // The terminal is too narrow for the message, so the command appears below it.
  const narrow = renderLadder(
    "Canary shop/shop",
    { ...status, phase: "Paused", pauseReason: "approval", message: `weight 90/10: ${"long ".repeat(15)}: ${command}` },
    { colour: false, verbose: false, columns: 100 },
  );
  assert.equal(narrow.split(command).length, 2, narrow);
});

test("on a narrow terminal, the command that a person can run has a line of its own, and is whole", () => {
  const hint = (columns: number): string[] =>
    renderLadder(
      "Canary bookinfo/bookinfo",
      { ...status, phase: "Stuck", phaseSince: "2026-01-31T12:00:00Z", message: "weight 90/10: no samples" },
      { colour: false, verbose: false, columns },
    )
      .trimEnd()
      .split("\n");
  assert.deepEqual(hint(80).slice(-2), [
    "  since 2026-01-31T12:00:00Z: repair it, or undo it:",
    "    serin canary abort bookinfo -n bookinfo",
  ]);
  assert.equal(
    hint(120).at(-1),
    "  since 2026-01-31T12:00:00Z: repair it, or undo it: serin canary abort bookinfo -n bookinfo",
  );
  assert.ok(
    hint(30).every((line) => line.length < 30),
    hint(30).join("\n"),
  );
});

test("checks with the same verdict and evidence share a line with their names", () => {
  const evidence = "istiod istio-system/istiod-1 has not reported which proxies it serves";
  const checks = ["xds-nacks", "pod-health", "xds-convergence"].map((type) => ({
    type,
    verdict: type === "pod-health" ? ("pass" as const) : ("error" as const),
    evidence: type === "pod-health" ? "3 pods are ready" : evidence,
  }));
  const step = { id: "step-2", title: "weight 90/10", startedAt: "", checks };
  const text = renderLadder("Canary a/b", { ...status, step, message: "" }, { colour: false, verbose: false });
  assert.match(text, /\n {6}! xds-nacks, xds-convergence: istiod .*\n {6}✔ pod-health: 3 pods are ready\n/);
});

test("a check that only reports does not share a line with one that decides, and is marked", () => {
  const check = { type: "xds-nacks", verdict: "fail", evidence: "2 of 9" } as const;
  const checks = [check, { ...check, type: "restarts", dryRun: true }, { ...check, name: "mine", dryRun: true }];
  const step = { id: "step-2", title: "weight 90/10", startedAt: "", checks };
  const text = renderLadder("Canary a/b", { ...status, step, message: "" }, { colour: false, verbose: false });
  assert.match(text, /\n {6}\S xds-nacks: 2 of 9\n {6}\S restarts, mine \(dry run\): 2 of 9\n/);
});

test("the ladder of a rollout that waits between two steps shows what it waits for", () => {
  const { step: _step, ...between } = status;
  const lines = (more: Partial<RolloutStatus>): readonly string[] =>
    renderLadder("Canary shop/shop", { ...between, ...more }, { colour: false, verbose: false }).split("\n");
  const message = "waits: freeze holidays until 2027-01-04T08:00:00.000Z (peak)";
  assert.equal(lines({ phase: "Waiting", pauseReason: "freeze", message })[2], `  … ${message}`);
  assert.equal(
    lines({ phase: "Paused", pauseReason: "order", message: "paused by a person" })[2],
    "  … paused by a person",
  );
  assert.equal(
    lines({ phase: "Watching", message: "waits for a change to roll out" })[2],
    "  … waits for a change to roll out",
  );
  const cause = "spec.target: has no waypoint";
  assert.equal(lines({ phase: "Stuck", message: cause, cause }).filter((line) => line.includes(cause)).length, 1);
  assert.ok(!lines({ phase: "Progressing", message: "weight 50/50" }).some((line) => line.includes("50/50")));
});

test("the ladder shows that the engine has not acted on the last order yet, and advises not to repeat it", () => {
  const paused: RolloutStatus = { ...status, phase: "Paused", pauseReason: "approval" };
  const text = (more: Partial<RolloutStatus> = {}): string =>
    renderLadder("Canary a/b", { ...paused, ...more }, { colour: false, verbose: false, isBehind: true });
  assert.match(
    text(),
    /the engine has not acted on the last order or change yet; if this stays: kubectl -n serin-system/,
  );
  assert.doesNotMatch(text(), /promote/);
  assert.doesNotMatch(text({ phase: "Completed" }), /has not acted/);
});

test("lines are cut to the terminal's width, not counting colours", () => {
  const lines = renderLadder(
    "Canary shop/shop",
    { ...status, cause: "x".repeat(100) },
    { colour: true, verbose: false, columns: 30 },
  ).split("\n");
  for (const line of lines)
    assert.ok(
      line
        .split(escape)
        .reduce((length, part, index) => length + part.length - (index === 0 ? 0 : part.indexOf("m") + 1), 0) < 30,
      line,
    );
  assert.ok(lines.some((line) => line.endsWith("xxx…")));
});

test("on a narrow terminal, what the current step shows is wrapped, and nothing of it is lost", () => {
  const evidence = "12 of 60 requests to the canary failed (20 %), and 0 of 61 to stable; the bound is 4.1 %";
  const cause = `weight 90/10: request-success-rate: ${evidence}`;
  const checks = [{ type: "request-success-rate", verdict: "fail" as const, evidence }];
  const step = { id: "step-2", title: "weight 90/10", startedAt: "", checks };
  const lines = renderLadder(
    "Canary shop/web",
    { ...status, phase: "RolledBack", step, message: cause, cause },
    { colour: true, verbose: false, columns: 60 },
  ).split("\n");
  const text = stripVTControlCharacters(lines.join(" ")).replaceAll(/\s+/g, " ");
  assert.ok(text.includes(`✘ request-success-rate: ${evidence}`), text);
  assert.ok(text.includes(`cause: ${cause}`), text);
  for (const line of lines) assert.ok(stripVTControlCharacters(line).length < 60, line);
});

test("on a low terminal, fewer done and future steps are shown, because a longer text could not be redrawn", () => {
  const ids = Array.from({ length: 30 }, (_, index) => `step-${index}`);
  const [at] = status.completedSteps;
  assert.ok(at !== undefined);
  const long: RolloutStatus = {
    ...status,
    completedSteps: ids.slice(0, 15).map((id) => ({ ...at, id, title: id })),
    step: { id: "step-15", title: "step-15", startedAt: "", checks: [] },
    plannedSteps: ids.map((id) => ({ id, title: id })),
    message: "step-15: works",
  };
  for (const verbose of [false, true])
    for (const rows of [3, 5, 12, 24, 40]) {
      const lines = renderLadder("MeshUpgrade up", long, { colour: false, verbose, rows }).trimEnd().split("\n");
      assert.ok(lines.length < Math.max(rows, 4), `${rows}: ${lines.join("\n")}`);
      assert.match(lines[0] ?? "", /^MeshUpgrade up: Judging/);
      if (rows >= 12) assert.ok(lines.includes("  ▸ step-15"), lines.join("\n"));
    }
});

test("the ladder says how long ago a time was, and how much is left until one", () => {
  const step = { id: "s", title: "t", startedAt: "", checks: [], waitsUntil: "2026-01-31T12:13:12Z" };
  const given = { ...status, phaseSince: "2026-01-31T12:03:12Z", step };
  const last = (nowMs?: number): string | undefined =>
    renderLadder("Canary a/b", given, { colour: false, verbose: false, ...(nowMs === undefined ? {} : { nowMs }) })
      .trimEnd()
      .split("\n")
      .at(-1);
  assert.equal(
    last(Date.parse("2026-01-31T12:03:55Z")),
    "  since 2026-01-31T12:03:12Z (43 s ago); without a new sample it is Stuck at 2026-01-31T12:13:12Z (in 9 min 17 s)",
  );
  assert.equal(last(), "  since 2026-01-31T12:03:12Z; without a new sample it is Stuck at 2026-01-31T12:13:12Z");
});

test("durations are printed in readable units", () => {
  assert.deepEqual([4.21, 192, 7500].map(durationText), ["4.2 s", "3 min 12 s", "2 h 5 min"]);
});

test("history lists each decision with its author, and its evidence once", () => {
  const at = "2026-01-31T12:00:00.123Z";
  assert.equal(
    renderHistory([
      {
        at,
        run: 1,
        decision: "StepDone",
        step: "step-1",
        message: "weight 90/10; request-success-rate: 0 of 200",
        evidence: ["request-success-rate: 0 of 200"],
      },
      { at, run: 2, decision: "Approved", step: "step-2", message: "looks good", by: "ann" },
    ]),
    [
      "run 1",
      "  2026-01-31T12:00:00Z  StepDone  [step-1]  weight 90/10",
      "      request-success-rate: 0 of 200",
      "",
      "run 2",
      "  2026-01-31T12:00:00Z  Approved by ann  [step-2]  looks good",
      "",
    ].join("\n"),
  );
});
