import { HeaderValueOption_HeaderAppendAction, HeaderValueOptionSchema, type HeaderValueOption } from "../../wire/envoy/index.ts";
import type { AppendAction, HeaderAddition, HeaderMutation, MutationContext } from "../routing/header-mutation.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "./config-check.ts";

const actions: Readonly<Record<number, AppendAction>> = {
  [HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD]: "append-if-exists-or-add",
  [HeaderValueOption_HeaderAppendAction.ADD_IF_ABSENT]: "add-if-absent",
  [HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD]: "overwrite-if-exists-or-add",
  [HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS]: "overwrite-if-exists",
};

/** Undefined when there is nothing to change. Fields that frame a message, and pseudo fields, are refused. */
export function compileMutation(
  add: readonly HeaderValueOption[],
  remove: readonly string[],
  direction: "request" | "response",
  where: string,
  notes: ConfigNotes,
): HeaderMutation | undefined {
  if (add.length === 0 && remove.length === 0) return undefined;
  const names = remove.map((name) => checkedName(name, where));
  return { add: add.map((option) => compileAddition(option, direction, where, notes)), remove: names };
}

const framing = new Set(["content-length", "transfer-encoding", "connection"]);

function checkedName(name: string, where: string): string {
  const lower = name.toLowerCase();
  if (lower.startsWith(":") || framing.has(lower)) throw invalid(where, `the header ${name} must not be changed`);
  if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(lower)) throw invalid(where, `"${name}" is no header name`);
  return lower;
}

function compileAddition(option: HeaderValueOption, direction: "request" | "response", where: string, notes: ConfigNotes): HeaderAddition {
  checkFields(HeaderValueOptionSchema, option, where, notes, { used: ["header", "append", "appendAction", "keepEmptyValue"] });
  const key = option.header?.key ?? "";
  const name = key.toLowerCase() === ":authority" ? "host" : checkedName(key, where);
  const raw = option.header?.rawValue;
  const text = raw === undefined || raw.length === 0 ? (option.header?.value ?? "") : Buffer.from(raw).toString("latin1");
  // The old field `append` is a wrapper: unset means append.
  const action = option.append === false ? "overwrite-if-exists-or-add" : (actions[option.appendAction] ?? "append-if-exists-or-add");
  return { name, value: compileValue(text, direction, `${where}: header ${key}`), action: name === "host" ? "overwrite-if-exists-or-add" : action, keepEmptyValue: option.keepEmptyValue };
}

type ValuePart = (context: MutationContext) => string;

function compileValue(text: string, direction: "request" | "response", where: string): ValuePart {
  if (/[\r\n\0]/.test(text)) throw invalid(where, "a header value must not hold control characters");
  if (!text.includes("%")) return () => text;
  const parts: ValuePart[] = [];
  const pattern = /%%|%([A-Z0-9_]+)(?:\(([^)]*)\))?%|[^%]+|%/g;
  for (const match of text.matchAll(pattern)) {
    const [whole, operator, argument] = match;
    if (whole === "%%") parts.push(() => "%");
    else if (operator === undefined) parts.push(() => whole);
    else parts.push(compileOperator(operator, argument, direction, where));
  }
  return (context) => {
    let out = "";
    for (const part of parts) out += part(context);
    return out;
  };
}

const withoutPort = (address: string): string => address.slice(0, address.lastIndexOf(":"));

function compileOperator(operator: string, argument: string | undefined, direction: "request" | "response", where: string): ValuePart {
  switch (operator) {
    case "DOWNSTREAM_REMOTE_ADDRESS":
    case "DOWNSTREAM_DIRECT_REMOTE_ADDRESS":
      return (context) => context.downstreamRemote;
    case "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":
    case "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT":
      return (context) => withoutPort(context.downstreamRemote);
    case "DOWNSTREAM_LOCAL_ADDRESS":
      return (context) => context.downstreamLocal;
    case "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":
      return (context) => withoutPort(context.downstreamLocal);
    case "REQ": {
      // When the answer comes, the request's head is gone.
      if (direction === "response" || argument === undefined) throw unsupported(where, `%${operator}(${argument ?? ""})%`);
      const [name = "", alternative] = argument.toLowerCase().split("?");
      return ({ request }) => requestValue(request, name) ?? (alternative === undefined ? undefined : requestValue(request, alternative)) ?? "";
    }
    default:
      throw unsupported(where, `%${operator}%`);
  }
}

function requestValue(request: MutationContext["request"], name: string): string | undefined {
  switch (name) {
    case ":authority":
      return request.authority;
    case ":method":
      return request.method;
    case ":scheme":
      return request.scheme;
    case ":path":
      return request.query === "" ? request.path : `${request.path}?${request.query}`;
    default:
      return request.head.get(name);
  }
}
