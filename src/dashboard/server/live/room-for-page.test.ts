import assert from "node:assert/strict";
import { test } from "node:test";
import { many } from "../../../base/testing/index.ts";
import { limits } from "../limits.ts";
import { roomForPage, type HeldPage } from "./room-for-page.ts";

let pages = 0;
/** A page of a visitor without a login, with a cookie of its own. */
const anonymous = (place: string, topics: readonly string[] = ["overview"]): HeldPage => ({
  owner: { user: `cookie ${(pages += 1)}`, place, viewer: "anonymous" },
  topics,
});
const of = (user: string, topics: readonly string[] = ["overview"]): HeldPage => ({
  owner: { user, viewer: user },
  topics,
});

test("pages without a login leave room for users, whatever the number of their addresses", () => {
  const open = many(limits.pagesWithoutLogin, (index) => anonymous(`10.0.0.${index}`));
  assert.throws(() => roomForPage(open, anonymous("10.1.0.1")), { code: "unavailable", message: /without a login/ });
  assert.deepEqual(roomForPage(open, of("ana")), []);
});

test("the address with the most pages loses its oldest one to an address with fewer", () => {
  const hog = many(limits.pagesOfAddress, () => anonymous("10.0.0.1"));
  const open = [...hog, ...many(limits.pagesWithoutLogin - hog.length, (index) => anonymous(`10.1.0.${index}`))];
  assert.deepEqual(roomForPage(open, anonymous("10.2.0.1")), [hog[0]]);
  assert.throws(() => roomForPage(open, anonymous("10.0.0.1")), { code: "unavailable", message: /your address/ });
});

test("on a full server, a user with many pages loses one to a user without, and users with one each keep theirs", () => {
  const hog = many(limits.pagesOfUser, () => of("hog"));
  const others = many(limits.pages - hog.length, (index) => of(`user ${index}`));
  assert.deepEqual(roomForPage([...others, ...hog], of("ana")), [hog[0]]);
  const crowd = many(limits.pages, (index) => of(`user ${index}`));
  assert.throws(() => roomForPage(crowd, of("ana")), { code: "unavailable", message: /^256 pages are open/ });
});

test("the address with the most different views loses a page to one that wants a view of its own", () => {
  const view = (index: number): string => `workloads?namespaces=n${index}`;
  const open = many(limits.topicsOfUser / limits.topicsOfPage, (page) =>
    anonymous(
      "10.0.0.1",
      many(limits.topicsOfPage, (index) => view(page * limits.topicsOfPage + index)),
    ),
  );
  assert.deepEqual(roomForPage(open, anonymous("10.0.0.2")), [open[0]]);
  assert.deepEqual(roomForPage(open, anonymous("10.0.0.2", [view(3)])), []);
  assert.throws(() => roomForPage(open, anonymous("10.0.0.1")), { code: "unavailable", message: /different views/ });
});
