// Messages of netlink: links, routes, nf_tables and connection tracking.
export {
  align4,
  netlinkFlags,
  netlinkTypes,
  readAttributes,
  readString,
  splitReplies,
  type NetlinkReply,
} from "./attribute.ts";
export {
  deleteConntrackMessage,
  listTranslatedMessage,
  listUnansweredMessage,
  readTranslatedDatagrams,
  readUnansweredConnect,
  type TrackedEntry,
} from "./conntrack-messages.ts";
export { bytesToIp, ipFamilyOf, ipToBytes, unmapIp, type IpFamily } from "./ip-address.ts";
export { action, match, type NftExpression, type NftRulePart } from "./nft-expressions.ts";
export {
  batchMessage,
  getTableMessage,
  listChainsMessage,
  listRulesMessage,
  listTablesMessage,
  NftTableEditor,
  NftTransaction,
  type NftFamily,
  type NftKey,
  type NftKeyType,
} from "./nft-transaction.ts";
export {
  addAddressMessage,
  addBridgeMessage,
  addNeighbourMessage,
  addRouteMessage,
  addRuleMessage,
  addVethMessage,
  deleteAddressMessage,
  deleteLinkMessage,
  deleteNeighbourMessage,
  deleteRouteMessage,
  deleteRuleMessage,
  listAddressesMessage,
  listLinksMessage,
  readAddress,
  readLink,
  setLinkMessage,
  type AddressInfo,
  type BridgeLink,
  type IpPrefix,
  type LinkChange,
  type LinkInfo,
  type RouteSpec,
  type RuleSpec,
  type VethLink,
} from "./route-messages.ts";
