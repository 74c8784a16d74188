import { fieldTypes, withFieldTypes } from "../../base/field-types/index.ts";
import type { GatewayClass } from "./gateway-class.ts";
import type { Gateway } from "./gateway.ts";

const { always, list, number, object, text } = fieldTypes;

const condition = {
  type: always(text, ""),
  status: always(text, ""),
  reason: always(text, ""),
  message: always(text, ""),
  lastTransitionTime: text,
  observedGeneration: number,
};

const gateway = {
  spec: always(
    object({
      gatewayClassName: always(text, ""),
      listeners: always(list({ name: always(text, ""), port: always(number, 0), protocol: always(text, "") }), []),
    }),
    { gatewayClassName: "", listeners: [] },
  ),
  status: object({
    conditions: list(condition),
    addresses: list({ type: text, value: always(text, "") }),
  }),
};

/**
 * A stored Gateway in which the class, the listeners, the conditions and the addresses have their types. The object may
 * come from a cluster with older definitions, which check less. A field of another type counts as absent.
 */
export function storedGateway(stored: Gateway): Gateway {
  return withFieldTypes(stored, gateway).value;
}

/** A stored GatewayClass in which the controller's name is a text. */
export function storedGatewayClass(stored: GatewayClass): GatewayClass {
  return withFieldTypes(stored, {
    spec: always(object({ controllerName: always(text, "") }), { controllerName: "" }),
  }).value;
}
