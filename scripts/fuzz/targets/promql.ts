import { SerinError } from "../../../src/base/index.ts";
import { evaluateAt, evaluateRange, parseQuery } from "../../../src/promql/index.ts";
import { seriesOf } from "../../../src/promql/testing/series-notation.ts";
import { expectRefusal, type FuzzTarget } from "../target.ts";

const minuteMs = 60_000;
const source = seriesOf(
  'a{x="1",le="0.1"} 0+1x10\na{x="2",le="+Inf"} 5+2x10\nb{x="1"} 1 _ 3 stale 4 5\nb{y="z"} NaN 2 -1x3 +Inf',
  minuteMs,
);

export const target: FuzzTarget = {
  title: "PromQL, read and evaluated",
  seeds: [
    'sum by (x) (rate(a{x=~"1|2",y!="z"}[5m] offset 1m)) / ignoring(y) group_left() b * 100',
    "histogram_quantile(0.9, sum(rate(a[5m])) by (le)) > bool 1 or vector(1) unless b",
    'label_replace(a, "n", "$1", "x", "(.*)") and on(x) topk(2, b) @ end()',
    "max_over_time(deriv(b[3m])[10m:1m]) ^ 2 ^ -1 % 3",
    'count_values("v", b) + quantile(.5, a) - absent(c{x="1"}) # comment',
    "clamp(round(b, 0.5), -Inf, 0x1F) == time() - day_of_week() + scalar(a)",
    "{__name__=~\"a|b\", `x`!~'9'} offset -5m",
  ],
  words: [
    "[5m]",
    "[10m:1m]",
    "[1ms:1ms]",
    "@ 60",
    "offset 1y",
    "by (x)",
    "without ()",
    "group_right(y)",
    "group_left",
    "1e308",
    "sort_desc(",
    "predict_linear(",
  ],
  maxBytes: 400,
  run: (input) => {
    const text = input.toString("utf8");
    try {
      const query = parseQuery(text);
      const options = { maxSamples: 20_000 };
      evaluateAt(query, source, 10 * minuteMs, options);
      evaluateRange(query, source, { startMs: 0, endMs: 10 * minuteMs, stepMs: minuteMs }, options);
    } catch (error) {
      expectRefusal(error, SerinError);
      if ((error as SerinError).kind === "internal") throw error;
    }
  },
};
