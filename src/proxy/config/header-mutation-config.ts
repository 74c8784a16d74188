import { isFramingHeader } from "../../base/index.ts";
import {
  HeaderValueOption_HeaderAppendAction,
  HeaderValueOptionSchema,
  type HeaderValueOption,
} from "../../wire/envoy/index.ts";
import { fieldName } from "../../wire/http2/index.ts";
import type { AppendAction, HeaderAddition, HeaderMutation } from "../routing/header-mutation.ts";
import { headTextOf } from "../terms/header-text.ts";
import { checkFields, invalid, type ConfigNotes } from "./config-check.ts";
import { compileHeaderValue } from "./header-value-config.ts";

const actions: Readonly<Record<number, AppendAction>> = {
  [HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD]: "append-if-exists-or-add",
  [HeaderValueOption_HeaderAppendAction.ADD_IF_ABSENT]: "add-if-absent",
  [HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD]: "overwrite-if-exists-or-add",
  [HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS]: "overwrite-if-exists",
};

/**
 * Compiles the changes of headers. Returns undefined if there are none. Refuses pseudo headers, of which only
 * `:authority` may be set.
 *
 * Only the proxy sets the headers that frame a message, so a change of them is noted and has no effect. A NACK would
 * let one route keep the proxy from accepting all other routes.
 */
export function compileMutation(
  add: readonly HeaderValueOption[],
  remove: readonly string[],
  direction: "request" | "response",
  where: string,
  notes: ConfigNotes,
): HeaderMutation | undefined {
  if (add.length === 0 && remove.length === 0) return undefined;
  const isOurs = (name: string): boolean => {
    if (!isFramingHeader(name)) return false;
    notes.ignored(`${where}: a change of the header ${name}`);
    return true;
  };
  return {
    add: add
      .filter(({ header }) => !isOurs(header?.key ?? ""))
      .map((option) => compileAddition(option, direction, where, notes)),
    remove: remove.filter((name) => !isOurs(name)).map((name) => checkedName(name, where)),
  };
}

function checkedName(name: string, where: string): string {
  const lower = name.toLowerCase();
  if (lower.startsWith(":")) throw invalid(where, `the header ${name} must not be changed`);
  if (!fieldName.test(lower)) throw invalid(where, `"${name}" is not a header name`);
  return lower;
}

function compileAddition(
  option: HeaderValueOption,
  direction: "request" | "response",
  where: string,
  notes: ConfigNotes,
): HeaderAddition {
  checkFields(HeaderValueOptionSchema, option, where, notes, {
    used: ["header", "append", "appendAction", "keepEmptyValue"],
  });
  const key = option.header?.key ?? "";
  const name = key.toLowerCase() === ":authority" ? "host" : checkedName(key, where);
  // The old field `append` is a wrapper message. If it is unset, the value is appended.
  const action =
    option.append === false
      ? "overwrite-if-exists-or-add"
      : (actions[option.appendAction] ?? "append-if-exists-or-add");
  return {
    name,
    value: compileHeaderValue(headTextOf(option.header), direction, `${where}: header ${key}`, notes),
    action: name === "host" ? "overwrite-if-exists-or-add" : action,
    keepEmptyValue: option.keepEmptyValue,
  };
}
