import { limits } from "../limits.ts";
import { refusal } from "../../problem.ts";

export interface PageHolder {
  /** The user, for the limit of pages per user. */
  readonly user: string;
  /** For an anonymous user, the address: such a user can drop the cookie. */
  readonly place?: string;
  /** The key for the limit of different topics: the user, or one key for all anonymous users. */
  readonly viewer: string;
}

export interface HeldPage {
  readonly owner: PageHolder;
  readonly topics: readonly string[];
}

/**
 * Returns the pages that must end so that a new one can open. `open` has all open pages, the oldest first. If the
 * server is full, the user or address with the most pages loses its oldest to one with fewer. Otherwise a few addresses
 * could lock out all others. Throws `unavailable` with the limit that is reached.
 */
export function roomForPage<Page extends HeldPage>(open: Iterable<Page>, { owner, topics }: HeldPage): readonly Page[] {
  const pages = new Set(open);
  const ended: Page[] = [];
  checkOwnPages(pages, owner);
  const giveWay = (candidates: readonly Page[], size: (held: readonly Page[]) => number, wanted: number): boolean => {
    const [surplus] = largestHolder(candidates, owner, size, wanted);
    if (surplus === undefined) return false;
    pages.delete(surplus);
    ended.push(surplus);
    return true;
  };
  const count = ({ length }: readonly Page[]): number => length;
  const anonymous = (): Page[] => [...pages].filter((page) => page.owner.place !== undefined);
  while (owner.place !== undefined && anonymous().length >= limits.pagesWithoutLogin)
    if (!giveWay(anonymous(), count, 1))
      throw full(`${limits.pagesWithoutLogin} pages are open without a login`, "log in, or try again later");
  while (pages.size >= limits.pages) if (!giveWay([...pages], count, 1)) throw full(`${limits.pages} pages are open`);
  const ofViewer = (): Page[] => [...pages].filter((page) => page.owner.viewer === owner.viewer);
  for (;;) {
    const followed = topicsOf(ofViewer());
    const wanted = new Set(topics.filter((text) => !followed.has(text))).size;
    if (wanted === 0 || followed.size + wanted <= limits.topicsOfUser) return ended;
    if (!giveWay(ofViewer(), (held) => topicsOf(held).size, wanted))
      throw full(`${followed.size} different views are open for ${owner.viewer}`);
  }
}

function checkOwnPages(pages: ReadonlySet<HeldPage>, { user, place }: PageHolder): void {
  const count = (isOwn: (owner: PageHolder) => boolean): number =>
    [...pages].filter((page) => isOwn(page.owner)).length;
  if (count((owner) => owner.user === user) >= limits.pagesOfUser)
    throw full(`you have ${limits.pagesOfUser} pages open`, "close some of them");
  if (place !== undefined && count((owner) => owner.place === place) >= limits.pagesOfAddress)
    throw full(
      `${limits.pagesOfAddress} pages are open from your address without a login`,
      "log in, or close some of them",
    );
}

/**
 * The pages of the holder that has the most, the oldest first. Empty if this is not more than the newcomer would have.
 */
function largestHolder<Page extends HeldPage>(
  pages: readonly Page[],
  newcomer: PageHolder,
  size: (held: readonly Page[]) => number,
  wanted: number,
): readonly Page[] {
  const held = Map.groupBy(pages, ({ owner }) => holderOf(owner));
  const own = size(held.get(holderOf(newcomer)) ?? []);
  let [largest, most]: [readonly Page[], number] = [[], own + wanted];
  for (const [, group] of held) if (size(group) > most) [largest, most] = [group, size(group)];
  return largest;
}

function holderOf({ user, place }: PageHolder): string {
  return place === undefined ? `user ${user}` : `address ${place}`;
}

function topicsOf(pages: readonly HeldPage[]): ReadonlySet<string> {
  return new Set(pages.flatMap(({ topics }) => topics));
}

function full(what: string, hint = "close pages that nobody needs"): Error {
  return refusal("unavailable", `${what}, which is the limit`, hint);
}
