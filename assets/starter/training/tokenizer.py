"""Writes a small CLIP tokenizer: byte pairs learnt from the caption words (which so
become one token each) and from plain English words, so that any prompt tokenises."""
import collections
import json
import os
import sys

import captions

ENGLISH = """
the of and a to in is it you that he was for on are with as his they be at one have this from or had by
hot but some what there we can out other were all your when up use word how said an each she which do
their time if will way about many then them would write like so these her long make thing see him two has
look more day could go come did my sound no most number who over know water than call first people may down
side been now find any new work part take get place made live where after back little only round man year
came show every good me give our under name very through just form much great think say help low line before
turn cause same mean differ move right boy old too does tell sentence set three want air well also play
small end put home read hand port large spell add even land here must big high such follow act why ask men
change went light kind off need house picture try us again animal point mother world near build self earth
father head stand own page should country found answer school grow study still learn plant cover food sun
four thought let keep eye never last door between city tree cross since hard start might story saw far sea
draw left late run while press close night real life few stop open seem together next white children begin
got walk example ease paper often always music those both mark book letter until mile river car feet care
second group carry took rain eat room friend began idea fish mountain north once base hear horse cut sure
watch color face wood main enough plain girl usual young ready above ever red list though feel talk bird
soon body dog family direct leave song measure state product black short numeral class wind question happen
complete ship area half rock order fire south problem piece told knew pass farm top whole king size heard
best hour better true during hundred remember step early hold west ground interest reach fast five sing
listen six table travel less morning ten simple several toward war lay against pattern slow center love
person money serve appear road map science rule govern pull cold notice voice fall power town fine certain
fly unit lead cry dark machine note wait plan figure star box noun field rest correct able pound done beauty
drive stood contain front teach week final gave green oh quick develop sleep warm free minute strong special
mind behind clear tail produce fact street inch lot nothing course stay wheel full force blue object decide
surface deep moon island foot yet busy test record boat common gold possible plane age dry wonder laugh
thousand ago ran check game shape yes miss brought heat snow bed bring sit perhaps fill east weight language
among window building bridge castle garden flower sunset sunrise cloud stormy sunny misty foggy wooden metal
glass marble brick tile carpet fabric leather fur portrait landscape painting realistic photograph cinematic
detailed sharp focus bokeh background foreground texture pattern quality resolution dramatic lighting soft
natural studio vintage modern rustic cozy bright vivid colorful pastel muted cat kitten puppy lion tiger
elephant bear rabbit fox deer cow sheep chicken butterfly apple orange banana bread cake pizza coffee cup
plate bowl bottle chair sofa lamp clock bicycle motorcycle train airplane robot dragon wizard knight
""".split()
LENGTH = 32


def alphabet():
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars = keep[:]
    n = 0
    for b in range(256):
        if b not in keep:
            keep.append(b)
            chars.append(256 + n)
            n += 1
    return [chr(c) for c in chars]


def learn(merges=1400):
    counts = collections.Counter()
    for w in ENGLISH:
        counts[w.lower()] += 2
    for w in captions.words():
        counts[w.lower()] += 1000
    state = {w: list(w[:-1]) + [w[-1] + "</w>"] for w in counts}
    out = []
    while len(out) < merges:
        pairs = collections.Counter()
        for w, parts in state.items():
            for p in zip(parts, parts[1:]):
                pairs[p] += counts[w]
        if not pairs:
            break
        best = max(sorted(pairs), key=lambda p: pairs[p])
        out.append(best)
        for w, parts in state.items():
            i, new = 0, []
            while i < len(parts):
                if i + 1 < len(parts) and (parts[i], parts[i + 1]) == best:
                    new.append(parts[i] + parts[i + 1])
                    i += 2
                else:
                    new.append(parts[i])
                    i += 1
            state[w] = new
    return out


def write(folder):
    os.makedirs(folder, exist_ok=True)
    letters = alphabet()
    merges = learn()
    tokens = letters + [c + "</w>" for c in letters] + ["".join(m) for m in merges]
    tokens = list(dict.fromkeys(tokens)) + ["<|startoftext|>", "<|endoftext|>"]
    put = lambda name, text: open(os.path.join(folder, name), "w", encoding="utf-8").write(text)
    put("vocab.json", json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False))
    put("merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
               "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    put("special_tokens_map.json", json.dumps(special, indent=2) + "\n")
    put("tokenizer_config.json", json.dumps(special | {
        "add_prefix_space": False, "do_lower_case": True, "errors": "replace",
        "model_max_length": LENGTH, "tokenizer_class": "CLIPTokenizer"}, indent=2) + "\n")
    return len(tokens)


if __name__ == "__main__":
    print(write(sys.argv[1]), "tokens")
