import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../../../base/testing/index.ts";
import { envoyFormatFault, headerValueFault, withLiteralPercents } from "./http-headers.ts";
import { newFormats, rejectedFormats, strangeFormats, takenFormats } from "../testing/format-verdicts.ts";

test("a header may have each format that all Envoys take, and none for which one rejects the routes", () => {
  for (const format of takenFormats) assert.equal(headerValueFault(format), undefined, format);
  for (const format of [...rejectedFormats, ...newFormats, ...strangeFormats])
    assert.notEqual(headerValueFault(format), undefined, format);
});

test("a tag may have the formats of a header, except for the state of the request", () => {
  for (const format of takenFormats)
    assert.equal(envoyFormatFault(format, "tag") === undefined, !format.includes("PER_REQUEST_STATE"), format);
  for (const format of [...rejectedFormats, ...newFormats, ...strangeFormats])
    assert.notEqual(envoyFormatFault(format, "tag"), undefined, format);
});

test("an operator whose argument crashes Envoy is refused", () => {
  for (const format of ["%COALESCE(5)%", '%COALESCE("a")%', "%COALESCE(null)%"])
    assert.match(headerValueFault(format) ?? "", /some of its arguments end an Envoy/);
});

test("the fault of a format says which variable is wrong, what was expected, and what to do", () => {
  const advice = ". Correct it, or write a percent sign as %%";
  const faults: Readonly<Record<string, string>> = {
    "a %PROTOCOL:5%": "has %PROTOCOL:5%, which not all proxies can substitute: PROTOCOL takes no length",
    "%PROTOCOL(x)%": "has %PROTOCOL(x)%, which not all proxies can substitute: PROTOCOL takes no argument",
    "%FOO%": "has %FOO%, which not all proxies can substitute: there is no variable with the name FOO",
    "%SPAN_ID%": "has %SPAN_ID%, which not all proxies can substitute: only some of Envoy's versions have SPAN_ID",
    "%REQ_WITHOUT_QUERY(a)%":
      "has %REQ_WITHOUT_QUERY(a)%, which not all proxies can substitute: it needs a further extension of Envoy; write %PATH(NQ)% instead",
    "%PATH(X)%":
      "has %PATH(X)%, which not all proxies can substitute: PATH takes WQ or NQ, and perhaps :ORIG, :PATH or :ORIG_OR_PATH",
    "%REQ%":
      'has %REQ%, which not all proxies can substitute: REQ needs the name of a header, or two names with "?" between them in parentheses',
    "%CEL(string(a))%":
      "has %CEL(string(a))%, which not all proxies can substitute: CEL needs an expression that Envoy takes, and it calls string with 1 argument, and Envoy has no such function",
  };
  for (const [format, fault] of Object.entries(faults)) assert.equal(headerValueFault(format), `${fault}${advice}`);
  assert.equal(
    headerValueFault("50% off"),
    'must write a percent sign as %%, or end the variable that % begins, as %NAME% or %NAME(argument):length%, got "50% off"',
  );
});

test("the fault of a long format quotes only its beginning", () => {
  const long = "a".repeat(15_000);
  const formats = [
    `${long}%`,
    `%${long.toUpperCase()}%`,
    `%${long.toUpperCase()}`,
    `%REQ(${long}?b?c)%`,
    `%CEL('${long}')%`,
  ];
  for (const length of [0, 900])
    formats.push(
      `%CEL('\\q${"a".repeat(length)}')%`,
      `%CEL(${"a".repeat(length)}b())%`,
      `%CEL(1 + + '${"a".repeat(length)}')%`,
    );
  for (const format of formats) assert.ok((headerValueFault(format)?.length ?? Infinity) < 700, format.slice(0, 20));
});

test("a value has as many bytes as Envoy takes in a header", () => {
  assert.equal(headerValueFault("a".repeat(16_384)), undefined);
  assert.equal(headerValueFault("a".repeat(16_385)), "must not have more than 16384 bytes");
  assert.equal(headerValueFault("é".repeat(8_193)), "must not have more than 16384 bytes");
});

test("judging a long value takes time in proportion to its length", () => {
  const values = [
    (size: number) => `%START_TIME(%${"0".repeat(size)})%`,
    (size: number) => `%START_TIME(${"%0".repeat(size / 2)})%`,
    (size: number) => `%START_TIME(${"%E".repeat(size / 2)})%`,
    (size: number) => "%REQ(".repeat(size / 5),
    (size: number) => `%REQ(${"a".repeat(size)}`,
    (size: number) => `%DYNAMIC_METADATA(${"a:".repeat(size / 2)})%`,
    (size: number) => `%DYNAMIC_METADATA([${'"a",'.repeat(size / 4)}`,
    (size: number) => `%FILTER_STATE(${":FIELD".repeat(size / 6)})%`,
  ];
  for (const make of values) assert.equal(suspicion(headerValueFault, make, 16_000), undefined, make(24));
});

test("a value that is no format keeps its percent signs", () => {
  assert.equal(withLiteralPercents("%REQ(a)%"), "%REQ(a)%");
  assert.equal(withLiteralPercents("%PROTOCOL:5% 5%"), "%%PROTOCOL:5%% 5%%");
});
