import assert from "node:assert/strict";
import { test } from "node:test";
import { combineTraffic, quantileMs, trafficLabels } from "../views/index.ts";
import {
  coarseSlotMs,
  fineMs,
  historyMs,
  maxLabelsLength,
  maxTrafficSeries,
  TrafficHistory,
  type Gain,
} from "./traffic-history.ts";

const gain = (requests: number, workload = "web", durations?: Gain["durations"]): Gain => ({
  labels: trafficLabels({
    reporter: "source",
    source_workload: "client",
    source_workload_namespace: "shop",
    destination_workload: workload,
    destination_workload_namespace: "shop",
    request_protocol: "http",
    response_code: "200",
  }),
  key: workload,
  requests,
  durations,
  bytes: 0,
  opened: 0,
});

function counting(seconds: number, each: (second: number, history: TrafficHistory) => void): TrafficHistory {
  const history = new TrafficHistory();
  history.begin(0);
  for (let second = 1; second <= seconds; second += 1) {
    each(second, history);
    history.close(second * 1000);
  }
  return history;
}

test("a window's rate is what was counted in it, whatever the age of the slots", () => {
  const history = counting(1200, (second, one) => one.add(gain(second <= 600 ? 10 : 30)));
  const rateOf = (fromMs: number, toMs: number): number | undefined => history.counted(fromMs, toMs)[0]?.requestRate;
  assert.equal(rateOf(1_140_000, 1_200_000), 30);
  assert.equal(rateOf(300_000, 600_000), 10);
});

test("a short counting time does not lower the rate", () => {
  const history = counting(5, (_, one) => one.add(gain(20)));
  assert.equal(history.counted(5000 - 60_000, 5000)[0]?.requestRate, 20);
});

test("slots are merged with age without losing counts", () => {
  const history = counting(1800, (_, one) =>
    one.add(
      gain(7, "web", [
        [10, 5],
        [25, 2],
      ]),
    ),
  );
  const [all] = history.counted(0, 1_800_000);
  assert.equal(all?.requestRate, 7);
  assert.deepEqual(all?.durations, { boundsMs: [10, 25], counts: [5 * 1800, 2 * 1800, 0] });
  const perSlot = history.storedBytes / (fineMs / 1000 + (1_800_000 - fineMs) / coarseSlotMs);
  assert.ok(perSlot < 20, `${perSlot} bytes a slot`);
});

test("data older than two hours is forgotten", () => {
  const history = counting(historyMs / 1000 + 120, (_, one) => one.add(gain(1)));
  assert.ok((history.oldestMs ?? 0) >= 120_000 - coarseSlotMs);
});

test("quantiles are computed from the buckets of all parts together", () => {
  const history = counting(2, (second, one) => one.add(gain(10, "web", [[second === 1 ? 5 : 50, 10]])));
  const [edge] = combineTraffic(history.counted(0, 2000));
  assert.deepEqual(
    [
      quantileMs(edge?.durations ?? { boundsMs: [], counts: [] }, 0.5),
      quantileMs(edge?.durations ?? { boundsMs: [], counts: [] }, 1),
    ],
    [5, 50],
  );
});

test("a window shorter than its slots gets the rate of its slot", () => {
  const history = counting(1200, (_, one) => one.add(gain(4)));
  assert.equal(history.counted(601_000, 604_000)[0]?.requestRate, 4);
});

test("series without remaining data make room for others", () => {
  const history = new TrafficHistory();
  history.begin(0);
  for (let at = 0; at < maxTrafficSeries; at += 1) history.add(gain(1, `old-${at}`));
  history.add(gain(1, "left-out"));
  history.close(1000);
  assert.deepEqual([history.seriesCount, history.dropped], [maxTrafficSeries, 1]);
  history.add(gain(5, "old-3"));
  history.close(historyMs + 2000);
  history.close(historyMs + 3000);
  assert.deepEqual([history.seriesCount, history.dropped], [1, 0]);
  for (const name of ["new", "old-3"]) history.add(gain(7, name));
  history.close(historyMs + 4000);
  assert.deepEqual(
    history
      .counted(historyMs + 3000, historyMs + 4000)
      .map(({ labels: { destination }, requestRate }) => [destination.workload, requestRate]),
    [
      ["new", 7],
      ["old-3", 7],
    ],
  );
});

test("labels and buckets are bounded", () => {
  const history = new TrafficHistory();
  history.begin(0);
  const long = "x".repeat(1 << 20);
  for (let at = 0; at < 40; at += 1) history.add(gain(1, `${long}${at}`));
  // The history has accepted as many series as fit. A key also contains the number of the series, which takes the space
  // of one of them.
  assert.equal(history.dropped, 40 - (maxLabelsLength / (1 << 20) - 1));
  history.add(
    gain(
      1,
      "web",
      Array.from({ length: 5000 }, (_, at) => [at + 1, 1] as const),
    ),
  );
  history.close(1000);
  const { boundsMs = [], counts = [] } =
    history.counted(0, 1000).find(({ durations }) => durations !== undefined)?.durations ?? {};
  assert.deepEqual([boundsMs.length, counts.at(-1)], [256, 5000 - 256]);
});

test("a namespace whose pods report the most series gives way to the others", () => {
  const history = new TrafficHistory();
  history.begin(0);
  for (let at = 0; at < maxTrafficSeries; at += 1) history.add(gain(1, `many-${at}`), "greedy");
  for (let at = 0; at < 3; at += 1) history.add(gain(2, `few-${at}`), "modest");
  history.add(gain(1, "one-more"), "greedy");
  history.close(1000);
  const names = history.counted(0, 1000).map(({ labels: { destination } }) => destination.workload);
  assert.equal(names.length, maxTrafficSeries);
  assert.deepEqual(
    names.filter((name) => name.startsWith("few-") || ["many-0", "many-2", "many-3", "one-more"].includes(name)),
    ["many-3", "few-0", "few-1", "few-2"],
  );
  history.close(historyMs + 2000);
  history.close(historyMs + 3000);
  assert.equal(history.seriesCount, 0);
});
