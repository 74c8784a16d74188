import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, setLogFormat } from "./log.ts";
import { HandClock } from "./testing/index.ts";

test("the time of a line is ISO 8601 in UTC with milliseconds, within one second and across seconds", () => {
  const lines: string[] = [];
  const clock = new HandClock();
  const log = createLogger({ scope: "test", write: (line) => lines.push(line), clock });
  const expected: string[] = [];
  for (const ms of [0, 7, 43, 940, 9, 1, 1000, 86_399_000, 0.5, 31_536_000_000]) {
    clock.pass(ms);
    expected.push(`${new Date(clock.nowMs()).toISOString()}\tinfo\ttest\tdone\n`);
    log.info("done");
  }
  assert.deepEqual(lines, expected);
});

test("a value from others cannot send control characters to the terminal of a person who reads the log", () => {
  const lines: string[] = [];
  const log = createLogger({ scope: "test", write: (line) => lines.push(line), clock: new HandClock() });
  log.info("a proxy connected", { proxy: "\u001B]0;x\u0007web.shop", version: "\u009B31m" });
  assert.match(lines[0] ?? "", /proxy="\\u001b\]0;x\\u0007web\.shop" version="\\x9b31m"\n$/);
});

test("in JSON a line is one object with level, time, scope, message and fields, also those of access log lines", () => {
  const lines: string[] = [];
  const options = { scope: "test", write: (line: string) => lines.push(line), clock: new HandClock() };
  const log = createLogger({ ...options, format: { messageKey: "msg" } });
  log.scoped("ads").warn('a "proxy"\nconnected', { proxy: "web.shop", size: 5n, ready: true, none: undefined });
  log.info('connection complete\tsrc.addr=10.0.0.1:5 src.workload="w \\"1" bytes_sent=17 duration="2ms"');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    [
      {
        level: "warn",
        time: "1970-01-01T00:00:00.000Z",
        scope: "ads",
        msg: 'a "proxy"\nconnected',
        proxy: "web.shop",
        size: "5",
        ready: true,
      },
      {
        level: "info",
        time: "1970-01-01T00:00:00.000Z",
        scope: "test",
        msg: "connection complete",
        "src.addr": "10.0.0.1:5",
        "src.workload": 'w "1',
        bytes_sent: 17,
        duration: "2ms",
      },
    ],
  );
  assert.ok(lines.every((line) => line.indexOf("\n") === line.length - 1));
});

test("the format of a thread applies to loggers that exist already", () => {
  const lines: string[] = [];
  const log = createLogger({ scope: "test", write: (line) => lines.push(line), clock: new HandClock() });
  setLogFormat({ messageKey: "message" });
  try {
    log.info("done");
  } finally {
    setLogFormat("text");
  }
  log.info("done");
  assert.deepEqual(lines, [
    '{"level":"info","time":"1970-01-01T00:00:00.000Z","scope":"test","message":"done"}\n',
    "1970-01-01T00:00:00.000Z\tinfo\ttest\tdone\n",
  ]);
});
