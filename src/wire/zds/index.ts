// ZDS: the messages by which the CNI agent gives pods to a ztunnel.
export {
  decodeZdsHello,
  decodeZdsRequest,
  decodeZdsResponse,
  encodeZdsHello,
  encodeZdsRequest,
  encodeZdsResponse,
} from "./codec.ts";
export {
  zdsListenerRoles,
  type ZdsHello,
  type ZdsListenerRole,
  type ZdsRequest,
  type ZdsResponse,
} from "./messages.ts";
