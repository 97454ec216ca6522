import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { type Block, blocksOf, fragmentOf } from "./blocks";
import { dressCode } from "./code";

/** Markdown as it grows: all blocks but the last keep their DOM. */
export function Markdown({ source, growing }: { source: string; growing: boolean }) {
  const blocks = useMemo(() => blocksOf(source), [source]);
  return (
    <div class="markdown">
      {blocks.map((block, index) => (
        <BlockView key={index} block={block} settled={!growing || index < blocks.length - 1} />
      ))}
    </div>
  );
}

function BlockView({ block, settled }: { block: Block; settled: boolean }) {
  const root = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const fragment = fragmentOf(block);
    dressCode(fragment, settled);
    root.current?.replaceChildren(fragment);
  }, [block.raw, settled]);
  return <div class="block" ref={root} />;
}
