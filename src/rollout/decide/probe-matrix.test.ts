import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults, type CheckSpec, type ProbeEnd } from "../../api/serin/index.ts";
import { judgeMatrix, type MatrixJudgement, type ProbeCounts, type ProbePairFacts } from "./probe-matrix.ts";
import type { ProbePodFacts } from "./replaced-probes.ts";

const spec: CheckSpec = { ...checkDefaults, type: "mtls-probe-matrix", minSamples: 20 };
const sidecar: ProbeEnd = { revision: "old", dataPlane: "sidecar" };
const ambient: ProbeEnd = { revision: "new", dataPlane: "ambient" };
const nothing: ProbeCounts = {
  ok: 0,
  failed: 0,
  letIn: 0,
  mutual: 0,
  plain: 0,
  plainBehind: 0,
  wrongClient: 0,
  wrongServer: 0,
};

function pair(counts: Partial<ProbeCounts>, other: Partial<ProbePairFacts> = {}): ProbePairFacts {
  return {
    from: sidecar,
    to: ambient,
    expected: "answer",
    counts: { ...nothing, ...counts },
    clientIdentity: "spiffe://td/ns/p/sa/c",
    serverIdentity: "spiffe://td/ns/p/sa/s",
    wrongClientIdentity: "",
    wrongServerIdentity: "",
    expectedClient: "spiffe://td/ns/p/sa/c",
    expectedServer: "spiffe://td/ns/p/sa/s",
    lastError: "reset",
    ...other,
  };
}

/** Makes two looks that set the baseline, including earlier events, and a third one that is judged. */
function judged(
  facts: readonly ProbePairFacts[],
  earlier: readonly ProbePairFacts[] = facts.map((one) => ({ ...one, counts: nothing })),
  ended: readonly string[] = [],
): MatrixJudgement {
  const first = judgeMatrix({ pairs: earlier, reports: { client: { number: 2, through: 1 } } }, spec, undefined);
  const zero = judgeMatrix({ pairs: earlier, reports: { client: { number: 4, through: 3 } } }, spec, first.statistic);
  assert.deepEqual([first.verdict, zero.verdict], ["wait", "wait"]);
  return judgeMatrix({ pairs: facts, reports: { client: { number: 5, through: 4 } }, ended }, spec, zero.statistic);
}

test("a pair passes if it has its share of the samples and all are over mTLS, and earlier results do not count", () => {
  const passed = judged(
    [pair({ ok: 50, failed: 9, mutual: 50, plain: 7 })],
    [pair({ ok: 30, failed: 9, mutual: 30, plain: 7 })],
  );
  assert.equal(passed.verdict, "pass");
  assert.deepEqual(
    [passed.matrix.pairs[0]?.ok, passed.matrix.pairs[0]?.mutualTls, passed.matrix.pairs[0]?.problem],
    [20, "yes", ""],
  );
  assert.equal(judged([pair({ ok: 19, mutual: 19 })]).verdict, "wait");
});

test("counting begins when every client has finished its earlier probes, however long that takes", () => {
  const look = (ok: number, a: number, b: number, before: unknown): MatrixJudgement =>
    judgeMatrix(
      {
        pairs: [pair({ ok, mutual: ok })],
        reports: { a: { number: a + 1, through: a }, b: { number: 99, through: b } },
      },
      spec,
      before,
    );
  let kept = look(5, 4, 7, undefined);
  // Client b started a probe long ago that is still open, and has sent 100 more reports since then.
  for (let looks = 0; looks < 3; looks += 1) kept = look(9, 8, 99, kept.statistic);
  assert.deepEqual([kept.verdict, kept.evidence], ["wait", "counting begins"]);
  kept = look(10, 8, 100, kept.statistic);
  kept = look(30, 9, 100, kept.statistic);
  assert.equal(kept.verdict, "pass");
  assert.equal(kept.matrix.pairs[0]?.ok, 20);
});

test("one plaintext connection fails the matrix, even if every probe was answered", () => {
  const { verdict, evidence, matrix } = judged([pair({ ok: 40, mutual: 39, plain: 1 })]);
  assert.equal(verdict, "fail");
  assert.equal(evidence, "1 of 1 pairs: old sidecar -> new ambient: partly in plain text (1 of 40)");
  assert.equal(matrix.pairs[0]?.mutualTls, "mixed");
  assert.match(judged([pair({ ok: 3, plain: 3 })]).evidence, /: in plain text$/);
});

test("a wrong identity at either side is reported with the expected one", () => {
  const foreign = judged([
    pair({ ok: 9, mutual: 9, wrongClient: 9 }, { wrongClientIdentity: "spiffe://foreign/ns/p/sa/c" }),
  ]);
  assert.equal(foreign.verdict, "fail");
  assert.equal(foreign.matrix.pairs[0]?.clientIdentity, "spiffe://foreign/ns/p/sa/c");
  assert.match(
    foreign.evidence,
    /the server verified the client as spiffe:\/\/foreign\/ns\/p\/sa\/c, expected spiffe:\/\/td\/ns\/p\/sa\/c/,
  );
  assert.match(
    judged([pair({ ok: 9, mutual: 9, wrongServer: 1 }, { wrongServerIdentity: "spiffe://td/ns/p/sa/x" })]).evidence,
    /the client verified the server as spiffe:\/\/td\/ns\/p\/sa\/x/,
  );
});

test("a wrong identity before counting began, as while a waypoint starts, is neither counted nor shown", () => {
  const before = pair({ ok: 9, mutual: 9, wrongServer: 4 }, { wrongServerIdentity: "spiffe://td/ns/p/sa/x" });
  const { verdict, matrix } = judged([{ ...before, counts: { ...before.counts, ok: 40, mutual: 40 } }], [before]);
  assert.deepEqual([verdict, matrix.pairs[0]?.serverIdentity], ["pass", "spiffe://td/ns/p/sa/s"]);
});

test("a client outside the mesh must be refused", () => {
  const refusal = { expected: "refusal", from: { revision: "", dataPlane: "none" } } as const;
  assert.equal(judged([pair({ ok: 20 }, refusal)]).verdict, "pass");
  const letIn = judged([pair({ ok: 19, failed: 1, letIn: 1 }, refusal)]);
  assert.equal(letIn.verdict, "fail");
  assert.match(letIn.evidence, /: no mesh -> new ambient: accepted without mTLS/);
});

test("one failing pair of many is found by few failures, and rare failures of all pairs are tolerated", () => {
  const good = Array.from({ length: 35 }, (_, index) =>
    pair({ ok: 6, mutual: 6 }, { to: { revision: `r${index}`, dataPlane: "ambient" } }),
  );
  const { verdict, evidence } = judged([...good, pair({ failed: 3 })]);
  assert.equal(verdict, "fail");
  assert.match(evidence, /^1 of 36 pairs: old sidecar -> new ambient: all failed: reset$/);
  assert.equal(judged([...good, pair({ ok: 6, failed: 1, mutual: 6 })]).verdict, "pass");
});

test("one failing connection of three, as with a ztunnel that refuses some, fails the matrix", () => {
  assert.equal(judged([pair({ ok: 14, failed: 6, mutual: 14 })]).verdict, "fail");
});

test("a root that the other revision does not trust fails exactly the pairs across revisions", () => {
  const ends = ["old", "new"].flatMap((revision) =>
    ["sidecar", "ambient"].map((dataPlane) => ({ revision, dataPlane }) as ProbeEnd),
  );
  const pairs = ends.flatMap((from) =>
    ends.map((to) => pair(from.revision === to.revision ? { ok: 9, mutual: 9 } : { failed: 9 }, { from, to })),
  );
  assert.equal(
    judged(pairs).evidence,
    "8 of 16 pairs, exactly those that cross revisions: old sidecar -> new sidecar, old sidecar -> new ambient, old ambient -> new sidecar and 5 more: all failed: reset",
  );
  const refusing = ends.flatMap((from) =>
    ends.map((to) => pair(to === ends[3] ? { failed: 9 } : { ok: 9, mutual: 9 }, { from, to })),
  );
  assert.match(judged(refusing).evidence, /^4 of 16 pairs, all to new ambient: /);
});

test("answers that no waypoint counted bypassed it", () => {
  const waypoint = { to: { revision: "new", dataPlane: "waypoint" } } as const;
  assert.match(judged([pair({ ok: 20 }, waypoint)]).evidence, /bypassed the waypoint \(20 of 20\)/);
  assert.match(
    judged([pair({ ok: 20, mutual: 20, plainBehind: 1 }, waypoint)]).evidence,
    /in plain text from the waypoint to its server/,
  );
});

test("missing mTLS reports are an error, never a pass, and counts stay valid when a data plane is removed", () => {
  assert.equal(judged([pair({ ok: 40 })]).verdict, "error");
  const left = judged([pair({ ok: 40, mutual: 12, plain: 0 })], [pair({ ok: 10, mutual: 100, plain: 5 })]);
  assert.deepEqual([left.verdict, left.matrix.pairs[0]?.mutualTls], ["error", "unknown"]);
});

test("the probes of other pairs are no progress of a pair that gets no answers", () => {
  const waiting = (others: number, own: number): MatrixJudgement =>
    judged([pair({ ok: others, mutual: others }, { from: ambient }), pair({ ok: own, mutual: own })]);
  const first = waiting(50, 3);
  assert.equal(first.verdict, "wait");
  assert.notEqual(first.evidence, waiting(60, 3).evidence);
  assert.equal(first.waitsFor, waiting(60, 3).waitsFor);
  assert.notEqual(first.waitsFor, waiting(60, 4).waitsFor);
});

test("only failing evidence names the probes whose containers have ended", () => {
  const ended = ["serin-probes/server-sidecar-new: istio-proxy ended with 139 (Error)"];
  assert.match(
    judged([pair({ failed: 30 })], undefined, ended).evidence,
    /all failed: reset; probe containers that ended: serin-probes\/server-sidecar-new: istio-proxy ended with 139 \(Error\)$/,
  );
  assert.doesNotMatch(judged([pair({ ok: 20, mutual: 20 })], undefined, ended).evidence, /ended/);
});

test("some connections to a new gateway may fail before its first answer, because nodes learn of it later", () => {
  const gateway: Partial<ProbePairFacts> = { from: { revision: "new", dataPlane: "gateway" } };
  const looks = (other: Partial<ProbePairFacts>, ...counts: readonly Partial<ProbeCounts>[]): MatrixJudgement => {
    let kept = judged([pair({}, other), pair({ ok: 30, mutual: 30 })]);
    for (const more of counts) {
      const facts = [pair(more, other), pair({ ok: 30, mutual: 30 })];
      kept = judgeMatrix({ pairs: facts, reports: { client: { number: 9, through: 8 } } }, spec, kept.statistic);
    }
    return kept;
  };
  assert.equal(looks(gateway, { failed: 1 }).verdict, "wait");
  assert.equal(looks(gateway, { failed: 1 }, { failed: 1, ok: 30, mutual: 30 }).verdict, "pass");
  assert.equal(looks(gateway, { failed: 3, ok: 30, mutual: 30 }).verdict, "pass", "in one look");
  assert.equal(looks(gateway, { failed: 4 }).verdict, "fail");
  const refused = { ...gateway, lastError: "connect ECONNREFUSED 10.96.85.103:80" };
  assert.equal(looks(refused, { failed: 2 }, { failed: 75, ok: 30, mutual: 30 }).verdict, "pass", "refused at once");
  assert.equal(looks(refused, { failed: 76 }).verdict, "fail");
  const answered = { ok: 3, mutual: 3 };
  assert.equal(looks(gateway, answered, { ...answered, failed: 3 }).verdict, "fail");
  const restarted = looks(gateway, answered, {}, { failed: 3 });
  assert.equal(restarted.verdict, "fail", "a client that restarts has had an answer before");
  assert.equal(looks(gateway, answered, { ...answered, failed: 1 }, {}, answered).matrix.pairs[0]?.failed, 1);
  assert.equal(
    looks({ from: { revision: "new", dataPlane: "sidecar" } }, { failed: 3 }).verdict,
    "fail",
    "peers in the mesh acknowledge their endpoints",
  );
});

/** Looks at one pair. Its client sends a new report before each look. */
function looking(): (counts: Partial<ProbeCounts>, pods: ProbePodFacts) => MatrixJudgement {
  let number = 9;
  let kept: unknown;
  return (counts, pods) => {
    number += 1;
    const reports = { client: { number, through: number } };
    const judgement = judgeMatrix({ pairs: [pair(counts)], reports, pods }, spec, kept);
    kept = judgement.statistic;
    return judgement;
  };
}

function server(uid: string, readyForMs: number, readyAtMs?: number, restarts = 0): ProbePodFacts {
  return { serving: { server: [{ uid, restarts, ...(readyAtMs === undefined ? {} : { readyAtMs }) }] }, readyForMs };
}

test("a probe that a drain deletes fails nothing, and counting begins again with its successor", () => {
  const look = looking();
  const old = server("1", 60_000, 1);
  look({}, old);
  look({}, old);
  look({ ok: 9, mutual: 9 }, old);
  const absent = { detail: "probe server ends", isPause: false };
  const without = look({ ok: 9, mutual: 9, failed: 40 }, { serving: { server: [] }, readyForMs: 0, absent });
  assert.deepEqual([without.verdict, without.evidence], ["error", "probe server ends"]);
  const [counted] = without.matrix.pairs;
  assert.deepEqual([counted?.ok, counted?.failed], [9, 0], "the counts from before are kept");
  const failing = { ok: 9, mutual: 9, failed: 80 };
  const early = look(failing, server("2", 1_000, 2));
  assert.match(`${early.verdict} ${early.evidence}`, /^error probe server has only just become ready/);
  const successor = server("2", 9_000, 2);
  assert.equal(look(failing, successor).evidence, "counting begins");
  look(failing, successor);
  const passed = look({ ok: 29, mutual: 29, failed: 80 }, successor);
  assert.deepEqual([passed.verdict, passed.matrix.pairs[0]?.failed], ["pass", 0]);
  assert.equal(look({ ok: 29, mutual: 29, failed: 84 }, successor).verdict, "fail", "failures of the successor count");
});

test("a probe whose kubelet restarts fails nothing, unless it is not ready for long, or again and again", () => {
  const absent = { detail: "probe server is not ready", isPause: true };
  const look = looking();
  let failed = 0;
  for (const round of [1, 2, 3]) {
    const ready = server("1", 9_000, round);
    assert.equal(look({ failed }, ready).evidence, "counting begins", `round ${round}`);
    look({ failed }, ready);
    failed += 40;
    assert.equal(look({ failed }, { ...server("1", 0), absent }).verdict, "error", `round ${round}`);
  }
  look({ failed }, server("1", 9_000, 4));
  look({ failed }, server("1", 9_000, 4));
  assert.equal(look({ failed: failed + 40 }, { ...server("1", 0), absent }).verdict, "fail", "the fourth time");

  const long = looking();
  long({}, server("1", 9_000, 1));
  long({}, server("1", 9_000, 1));
  assert.equal(long({ failed: 40 }, { ...server("1", 0), absent }).verdict, "error");
  assert.equal(long({ failed: 80 }, server("1", 9_000)).verdict, "fail", "it is not ready for long");
});

test("a probe that was not ready between two looks does not fail either", () => {
  const look = looking();
  look({}, server("1", 9_000, 1));
  look({}, server("1", 9_000, 1));
  assert.equal(look({ failed: 40 }, server("1", 1_000, 2)).verdict, "error");
  assert.equal(look({ failed: 40 }, server("1", 6_000, 2)).evidence, "counting begins");
});

test("a probe that crashed between two looks is judged by its failures, because the mesh may be the cause", () => {
  const look = looking();
  look({}, server("1", 9_000, 1));
  look({}, server("1", 9_000, 1));
  assert.equal(look({ failed: 40 }, server("1", 1_000, 2, 1)).verdict, "fail");
});

test("a pause of the kubelet after a tolerated crash fails nothing, and the crash itself is no pause", () => {
  const look = looking();
  look({}, server("1", 9_000, 1));
  look({}, server("1", 9_000, 1));
  look({ ok: 300, mutual: 300 }, server("1", 9_000, 1));
  const crashed = { ok: 300, mutual: 300, failed: 1 };
  const unready: ProbePodFacts = { ...server("1", 9_000, undefined, 1) };
  assert.equal(look(crashed, unready).matrix.pairs[0]?.failed, 1);
  const back = look(crashed, server("1", 9_000, 2, 1));
  assert.deepEqual([back.verdict, back.matrix.pairs[0]?.failed], ["pass", 1], "the crash's failure stays counted");
  const absent = { detail: "probe server is not ready", isPause: true };
  const failing = { ...crashed, failed: 41 };
  assert.equal(look(failing, { ...unready, absent }).verdict, "error");
  assert.equal(look(failing, server("1", 9_000, 3, 1)).evidence, "counting begins");
});

test("a pause of the kubelet fails nothing either if an earlier engine stored the pods, without restarts", () => {
  const look = (failed: number, number: number, pods: ProbePodFacts, before?: unknown): MatrixJudgement =>
    judgeMatrix({ pairs: [pair({ failed })], reports: { client: { number, through: number } }, pods }, spec, before);
  const first = look(0, 1, server("1", 9_000, 1));
  const { statistic } = look(0, 2, server("1", 9_000, 1), first.statistic);
  const earlier: unknown = JSON.parse(
    JSON.stringify(statistic, (key, field: unknown) => (key === "restarts" ? undefined : field)),
  );
  assert.equal(look(40, 3, server("1", 9_000, 2), earlier).evidence, "counting begins");
});
