import { messageOf } from "../../base/index.ts";
import { beginningOf } from "../terms/beginning-of.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import type { AccessLog } from "../../telemetry/index.ts";
import type { CaptureIndex } from "./capture-index.ts";
import { LineComposer, maxLineLength } from "./line-composer.ts";
import type { LogPart } from "./line-template.ts";
import {
  compileOperator,
  isRequestId,
  lettersOf,
  mayHoldControls,
  noValue,
  numericOperators,
  quickNumberOf,
  quickPartOf,
  spanOf,
  type Captures,
} from "./log-operators.ts";

/** A compiled access log format: which headers must be captured, and how to make a line. */
export interface LogFormat {
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
  /** One line with its newline, as text. */
  readonly line: LogPart;
  /** Writes a line to a file. The bytes of header values are written unchanged. */
  readonly write: (file: AccessLog, record: ExchangeRecord, capture: CaptureIndex) => void;
}

export const envoyDefaultFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

export interface FormatOptions {
  /** Whether nothing is written for an empty value. Otherwise a text has `-` there, and JSON has null. */
  readonly omitsEmpty?: boolean;
}

interface TextFormatOptions extends FormatOptions {
  /**
   * Whether control characters are kept, because the receiver escapes them. Otherwise they are replaced, so that no
   * value can begin a new line.
   */
  readonly keepsControls?: boolean;
}

/** Throws the result of `refuse` for an unknown operator. */
export function compileTextFormat(
  text: string,
  refuse: (operator: string) => Error,
  { omitsEmpty = false, keepsControls = false }: TextFormatOptions = {},
): LogFormat {
  const captures: Captures = { request: [], response: [] };
  const composer = new LineComposer();
  for (const token of tokensOf(text, refuse)) {
    if ("text" in token) {
      composer.text(token.text);
      continue;
    }
    const { name, argument, length } = token;
    const value = compiled(token, captures, refuse);
    if (value === noValue) {
      composer.text(omitsEmpty ? "" : "-".slice(0, length));
      continue;
    }
    const part = keepsControls || !mayHoldControls(name) ? value : onOneLine(value);
    const shown = omitsEmpty ? omitting(part) : part;
    const whole = omitsEmpty || length !== undefined ? undefined : name;
    const number = quickNumberOf(whole, argument);
    const quick = quickPartOf(whole, argument);
    composer.value({
      part: quick ?? (length === undefined ? shown : (record, capture) => shown(record, capture).slice(0, length)),
      span: spanOf(name, argument),
      letters: quick === undefined ? lettersOf(name) : "bytes",
      ...(number === undefined ? {} : { number }),
      isRequestId: isRequestId(whole, argument),
    });
  }
  return {
    requestCapture: captures.request,
    responseCapture: captures.response,
    line: (record, capture) => composer.line(record, capture),
    write: (file, record, capture) => composer.write(file, record, capture),
  };
}

interface Operator {
  readonly whole: string;
  readonly name: string;
  readonly argument: string | undefined;
  /** The maximum length of the value, in characters. */
  readonly length: number | undefined;
}

const nameAtStart = /%([A-Z0-9_]+)/y;
const endOfOperator = /(?::(\d+))?%/y;

/**
 * Splits a format into texts and operators. Operators are `%NAME%`, `%NAME(argument)%` and `%NAME(argument):length%`.
 * Parentheses in an argument must be balanced. `%%` is a `%`.
 */
function* tokensOf(text: string, refuse: (operator: string) => Error): Iterable<Operator | { readonly text: string }> {
  let at = 0;
  while (at < text.length) {
    const start = text.indexOf("%", at);
    if (start < 0) {
      yield { text: text.slice(at) };
      return;
    }
    if (start > at) yield { text: text.slice(at, start) };
    if (text[start + 1] === "%") {
      yield { text: "%" };
      at = start + 2;
      continue;
    }
    nameAtStart.lastIndex = start;
    const name = nameAtStart.exec(text)?.[1];
    if (name === undefined) {
      yield { text: "%" };
      at = start + 1;
      continue;
    }
    let end = nameAtStart.lastIndex;
    let argument: string | undefined;
    if (text[end] === "(") {
      const close = closingOf(text, end);
      if (close < 0) throw refuse(text.slice(start));
      argument = text.slice(end + 1, close);
      end = close + 1;
    }
    endOfOperator.lastIndex = end;
    const match = endOfOperator.exec(text);
    if (match === null) throw refuse(text.slice(start, end));
    at = endOfOperator.lastIndex;
    yield {
      whole: text.slice(start, at),
      name,
      argument,
      length: match[1] === undefined ? undefined : Number(match[1]),
    };
  }
}

function closingOf(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === "(") depth += 1;
    else if (text[at] === ")" && (depth -= 1) === 0) return at;
  }
  return -1;
}

function compiled(
  { whole, name, argument }: Operator,
  captures: Captures,
  refuse: (operator: string) => Error,
): LogPart {
  let part: LogPart | undefined;
  try {
    part = compileOperator(name, argument, captures);
  } catch (error) {
    throw refuse(`${whole} (${messageOf(error)})`);
  }
  if (part === undefined) throw refuse(whole);
  return part;
}

const controls = /\p{Cc}/u;
const allControls = /\p{Cc}/gu;

function onOneLine(part: LogPart): LogPart {
  return (record, capture) => {
    const value = part(record, capture);
    return controls.test(value)
      ? value.replaceAll(allControls, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)
      : value;
  };
}

function omitting(part: LogPart): LogPart {
  return (record, capture) => {
    const value = part(record, capture);
    return value === "-" ? "" : value;
  };
}

/**
 * Compiles a format that writes one JSON object for each line, with the keys in the given order, including nested
 * objects and lists. If empty values are omitted, their keys are omitted too. If a line would be too long for its file,
 * its values are cut. Throws the result of `refuse` for an unknown operator.
 */
export function compileJsonFormat(
  fields: Readonly<Record<string, unknown>>,
  refuse: (operator: string) => Error,
  { omitsEmpty = false }: FormatOptions = {},
): LogFormat {
  const formats: LogFormat[] = [];
  /** How many characters the values of the current line may still have. */
  let room = 0;
  const compile = (value: unknown): JsonPart => {
    if (typeof value === "object" && value !== null) {
      const entries = Object.entries(value).map(([key, inner]) => [key, compile(inner)] as const);
      if (Array.isArray(value)) return (record, capture) => entries.map(([, part]) => part(record, capture));
      return (record, capture) =>
        Object.fromEntries(
          entries
            .map(([key, part]) => [key, part(record, capture)] as const)
            .filter(([, found]) => !omitsEmpty || found !== null),
        );
    }
    if (typeof value !== "string") return () => value;
    const format = compileTextFormat(value, refuse, { keepsControls: true });
    formats.push(format);
    const [only, ...more] = tokensOf(value, refuse);
    const isNumber = only !== undefined && more.length === 0 && "name" in only && numericOperators.has(only.name);
    return (record, capture) => {
      if (room <= 0) return null;
      const text = beginningOf(format.line(record, capture), room);
      room -= text.length;
      return text === "-" ? null : isNumber ? Number(text) : text;
    };
  };
  const part = compile(fields);
  const composed = (record: ExchangeRecord, capture: CaptureIndex, valueLength: number): string => {
    room = valueLength;
    return `${JSON.stringify(part(record, capture))}\n`;
  };
  const line: LogPart = (record, capture) => {
    const whole = composed(record, capture, maxLineLength);
    return whole.length > maxJsonLength ? composed(record, capture, maxCutLength) : whole;
  };
  return {
    requestCapture: formats.flatMap((format) => format.requestCapture),
    responseCapture: formats.flatMap((format) => format.responseCapture),
    line,
    write: (file, record, capture) => file.line(line(record, capture)),
  };
}

/** The maximum length of a line of JSON, whose characters take up to three bytes each in the buffer of its file. */
const maxJsonLength = 81_920;
/** The length of the values in a line that is cut. JSON may write each of their characters as six. */
const maxCutLength = 12_288;

type JsonPart = (record: ExchangeRecord, capture: CaptureIndex) => unknown;
