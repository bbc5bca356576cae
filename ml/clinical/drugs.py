"""Drug names to ingredients, by closed table and exact match.

The way: NFKC, case folded, dose, strength and form words stripped, salts stripped, brand to ingredient. No fuzzy match:
in a safety path a near name is another drug. A name the table does not know stays as it is (cleaned), so that two
reports of it are still one medicine. Several ingredients are joined by " / " in alphabetical order.
"""

from __future__ import annotations

import re
import unicodedata

DRUGS_VERSION = 1


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SALTS = _words("""
acetate anhydrous besilate besylate bitartrate bromide calcium citrate dihydrate dihydrochloride
disodium fumarate gluconate hbr hcl hemihydrate hydrobromide hydrochloride lactate magnesium malate
maleate mesilate mesylate monohydrate nitrate oxalate phosphate potassium salicylate sodium stearate
succinate sulfate sulphate tartrate tosilate tosylate trihydrate valerate
""")
"""Words dropped from the end of a name of several words: "calcium" alone stays calcium."""

FORMS = _words("""
capsule capsules cr cream creme crm drops ec elixir er ext extended extra gel inhaler injection la
lotion nasal nos ointment ophthalmic oral otc patch pm powder release solution spray sr strength
suppository suspension syrup tab tablet tablets topical transdermal vaginal xl xr
""")

_DOSE = re.compile(
    r"\b\d+(?:[.,]\d+)?\s*(?:mcg|ug|mg|g|ml|iu|units?|%|meq)(?:\s*/\s*(?:\d+\s*)?(?:ml|h|hr|day|d))?(?![a-z])"
)
_BRACKETS = re.compile(r"\([^)]*\)|/[a-z]{2,3}/")
_MARKS = re.compile(r"[^\w\s'/+&-]")
_WITH = re.compile(r"\bw/\s*")
_NUMBER = re.compile(r"\bno\s*\d+\b")

_SYNONYMS = """
acetaminophen = apap, paracetamol, tylenol, tylenol extra strength; acetaminophen + aspirin + caffeine = excedrin;
acetaminophen + pseudoephedrine = tylenol sinus; albuterol = proventil, salbutamol, ventolin; alendronate = fosamax;
allopurinol = zyloprim; alprazolam = xanax; amiodarone = cordarone, pacerone; amitriptyline = elavil;
amlodipine = norvasc; amoxicillin + clavulanate = augmentin; amphetamine + dextroamphetamine = adderall;
aspirin = acetylsalicylic acid, asa, ascriptin, bufferin, ecotrin; aspirin + caffeine = anacin;
astemizole = hismanal; atazanavir = reyataz; atomoxetine = strattera; atorvastatin = lipitor; azathioprine = imuran;
azithromycin = zithromax; beclomethasone = beconase, vancenase; benazepril = lotensin; brimonidine = alphagan;
budesonide = rhinocort; captopril = capoten; carbidopa + levodopa = sinemet; cefuroxime = ceftin;
cephalexin = keflex; chloroquine = aralen; chlorpropamide = diabinese; chlorthalidone = hygroton;
cholestyramine = colestyramine, questran; choline magnesium trisalicylate = trilisate; cimetidine = tagamet;
ciprofloxacin = cipro; cisapride = propulsid; citalopram = celexa; clarithromycin = biaxin, biaxin xl;
clomipramine = anafranil; clonidine = catapres; colestipol = colestid;
conjugated estrogens = estrogens conjugated, oestrogens conjugated, premarin;
conjugated estrogens + medroxyprogesterone = premphase, prempro; desipramine = norpramin;
dextromethorphan + guaifenesin = halotussin-dm, robitussin-dm;
dextromethorphan + pseudoephedrine = vicks formula 44d; digoxin = lanoxin; diltiazem = cardizem, tiazac;
diphenhydramine = benadryl; dipyridamole = persantine; dofetilide = tikosyn; donepezil = aricept;
dorzolamide = trusopt; doxazosin = cardura; doxepin = sinequan; dronedarone = multaq; droperidol = inapsine;
duloxetine = cymbalta; enalapril = vasotec; erythromycin = ery-tab; escitalopram = lexapro; esomeprazole = nexium;
estradiol = estrace, oestradiol; etodolac = lodine; famotidine = pepcid, pepcid ac; febuxostat = uloric;
felodipine = plendil; fexofenadine = allegra; fluconazole = diflucan; flunisolide = aerobid; fluocinonide = lidex;
fluoxetine = prozac; flurazepam = dalmane; fluvastatin = lescol; fluvoxamine = luvox; fosinopril = monopril;
furosemide = frusemide, lasix; gemfibrozil = lopid; glipizide = glucotrol; glyburide = diabeta;
guaifenesin = robitussin; haloperidol = haldol; hydrochlorothiazide + lisinopril = zestoretic;
hydrochlorothiazide + triamterene = dyazide, maxzide; hydroxychloroquine = plaquenil; ibuprofen = advil, motrin;
imipramine = tofranil; indomethacin = indocin; ipratropium = atrovent; irinotecan = camptosar;
isocarboxazid = marplan; isoniazid = nydrazid; itraconazole = sporanox; ketoconazole = nizoral;
ketoprofen = orudis, orudis kt; ketorolac = toradol; lansoprazole = prevacid; leuprolide = leuprorelin, lupron;
levobunolol = betagan; levofloxacin = levaquin; levothyroxine = levothroid, levoxine, levoxyl, synthroid;
lisdexamfetamine = vyvanse; lisinopril = prinivil, zestril; loperamide = imodium, imodium a-d;
lopinavir + ritonavir = kaletra; loratadine = claritin; lorazepam = ativan; losartan = cozaar; lovastatin = mevacor;
medroxyprogesterone = provera; meperidine = demerol, pethidine; mercaptopurine = purinethol; metformin = glucophage;
methadone = dolophine; methazolamide = neptazane; methylphenidate = concerta, ritalin;
methylprednisolone = medrol, medrol dosepak; metoprolol = lopressor, toprol; mirtazapine = remeron;
moxifloxacin = avelox; nabumetone = relafen; naproxen = aleve, naprosyn; nifedipine = adalat, procardia;
nizatidine = axid; nortriptyline = pamelor; omeprazole = losec, prilosec; ondansetron = zofran; oxaprozin = daypro;
pantoprazole = protonix; paroxetine = paxil; phenelzine = nardil; pimozide = orap; piroxicam = feldene;
potassium chloride = k-dur; pravastatin = pravachol; promethazine = phenergan; pseudoephedrine = sudafed;
quinapril = accupril, acupril; quinine = quinamm; ramelteon = rozerem; ramipril = altace; ranitidine = zantac;
rifampin = rifampicin; ritonavir = norvir; rizatriptan = maxalt; selegiline = deprenyl, eldepryl, emsam, zelapar;
sertraline = zoloft; simvastatin = zocor; sotalol = betapace; spironolactone = aldactone;
st john's wort = hypericum, st johns wort, st. john's wort; sulfamethoxazole + trimethoprim = bactrim;
sumatriptan = imitrex; terazosin = hytrin; terfenadine = seldane; ticlopidine = ticlid; timolol = timoptic;
tizanidine = zanaflex; tramadol = ultram; trandolapril = mavik; tranylcypromine = parnate; venlafaxine = effexor;
voriconazole = vfend; warfarin = coumadin; ziprasidone = geodon; zolmitriptan = zomig
"""

INGREDIENTS_OF: dict[str, tuple[str, ...]] = {
    name.strip(): tuple(sorted(part.strip() for part in ingredients.split("+")))
    for entry in _SYNONYMS.split(";")
    for ingredients, names in (entry.split("="),)
    for name in names.split(",")
}
"""Brand or synonym → ingredients. Typed from the names that trials report; public knowledge, no list copied."""


def _strip(name: str) -> str:
    text = unicodedata.normalize("NFKC", name).casefold()
    text = _MARKS.sub(" ", _DOSE.sub(" ", _BRACKETS.sub(" ", _WITH.sub(" with ", text))))
    text = _NUMBER.sub(" ", text)
    words = text.split()
    while len(words) > 1 and words[-1] in FORMS:
        words.pop()
    return " ".join(words)


def _unsalted(name: str) -> str:
    words = name.split()
    while len(words) > 1 and words[-1] in SALTS | FORMS:
        words.pop()
    return " ".join(words)


def ingredients(drug_name: str) -> tuple[str, ...]:
    """The ingredients a reported name stands for, alphabetical; the cleaned name itself where no table knows it."""
    name = _strip(drug_name)
    for spelling in (name, _unsalted(name)):
        if spelling in INGREDIENTS_OF:
            return INGREDIENTS_OF[spelling]
    bare = _unsalted(name)
    for spelling in (name, bare):
        parts = re.split(r"\s*/\s*|\s+and\s+|\s*\+\s*|\s+with\s+", spelling)
        if len(parts) > 1 and all(parts):
            return tuple(sorted({one for part in parts for one in ingredients(part)}))
    return (bare,) if bare else ()


def normalise_drug(drug_name: str) -> str:
    """The name whose `name_code` stands in a fact: the ingredients joined by " / ".

    The reported name, cleaned of case and doubled spaces, where nothing else is left of it.
    """
    found = ingredients(drug_name)
    return " / ".join(found) if found else " ".join(unicodedata.normalize("NFKC", drug_name).casefold().split())
