import {
  type HeaderMutationPerRoute,
  HeaderMutationPerRouteSchema,
  type HeaderMutationRule,
  type HeaderMutations,
  HeaderMutationsSchema,
  type HttpHeaderMutation,
  HttpHeaderMutationSchema,
} from "../../../wire/envoy/index.ts";
import type { FieldChange } from "../../filters/field-changes.ts";
import {
  HeaderMutationFilter,
  noChanges,
  RouteChanges,
  type MessageChanges,
} from "../../filters/header-mutation-filter.ts";
import type { HeaderMutation } from "../../routing/header-mutation.ts";
import { permittedTrailers } from "../../terms/trailers.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileMutation } from "../header-mutation-config.ts";
import { compileString } from "../matchers/matcher-config.ts";

export function compileHeaderMutation(
  name: string,
  message: HttpHeaderMutation,
  where: string,
  notes: ConfigNotes,
): HeaderMutationFilter {
  checkFields(HttpHeaderMutationSchema, message, where, notes, {
    used: ["mutations", "mostSpecificHeaderMutationsWins"],
  });
  return new HeaderMutationFilter(
    name,
    compileChanges(message.mutations, where, notes),
    message.mostSpecificHeaderMutationsWins,
  );
}

export function compileHeaderMutationPerRoute(
  message: HeaderMutationPerRoute,
  where: string,
  notes: ConfigNotes,
): RouteChanges {
  checkFields(HeaderMutationPerRouteSchema, message, where, notes, { used: ["mutations"] });
  return new RouteChanges([compileChanges(message.mutations, where, notes)]);
}

function compileChanges(message: HeaderMutations | undefined, where: string, notes: ConfigNotes): MessageChanges {
  if (message === undefined) return noChanges;
  const here = `${where}: mutations`;
  checkFields(HeaderMutationsSchema, message, here, notes, {
    used: ["requestMutations", "responseMutations", "requestTrailersMutations", "responseTrailersMutations"],
  });
  const compile = (field: ChangesField): readonly FieldChange[] =>
    message[field].map((rule, index) => compileRule(rule, field, `${here}.${field}[${index}]`, notes));
  return {
    request: compile("requestMutations"),
    response: compile("responseMutations"),
    requestTrailers: compile("requestTrailersMutations"),
    responseTrailers: compile("responseTrailersMutations"),
  };
}

type ChangesField = Exclude<keyof typeof directions, symbol>;

const directions = {
  requestMutations: "request",
  responseMutations: "response",
  requestTrailersMutations: "request",
  responseTrailersMutations: "response",
} as const;

function compileRule(rule: HeaderMutationRule, field: ChangesField, where: string, notes: ConfigNotes): FieldChange {
  const { action } = rule;
  switch (action.case) {
    case "append":
      if (directions[field] === "request" && /%UPSTREAM_/.test(action.value.header?.value ?? ""))
        throw unsupported(where, "an operator %UPSTREAM_…%, whose value is not known yet when the filter runs,");
      return checkedTrailers(compileOne([action.value], [], field, where, notes), field, where);
    case "remove":
      if (action.value.toLowerCase() === "host") throw invalid(where, "the header host must not be removed");
      return compileOne([], [action.value], field, where, notes);
    case "removeOnMatch":
      if (action.value.keyMatcher === undefined) throw invalid(where, "removeOnMatch.keyMatcher must be set");
      return { matches: compileString(action.value.keyMatcher, `${where}.removeOnMatch.keyMatcher`) };
    default:
      throw invalid(where, "append, remove or removeOnMatch must be set");
  }
}

function compileOne(
  add: Parameters<typeof compileMutation>[0],
  remove: readonly string[],
  field: ChangesField,
  where: string,
  notes: ConfigNotes,
): HeaderMutation {
  return compileMutation(add, remove, directions[field], where, notes) ?? { add: [], remove: [] };
}

/**
 * Refuses changes of fields that must not be in trailers, because a receiver that merges trailers into the head would
 * accept them.
 */
function checkedTrailers(mutation: HeaderMutation, field: ChangesField, where: string): HeaderMutation {
  for (const { name } of mutation.add)
    if (field.includes("Trailers") && permittedTrailers([name, ""]).length === 0)
      throw invalid(where, `${name} must not be a trailer`);
  return mutation;
}
